-- What the hosts of a cluster share beside the ledger (whose tables install.py adds) and the
-- engine's own tables. Instants are PostgreSQL's; no rule compares them with another clock.

-- turn: how many turns of leaders were recorded. engine, ledger: versions of the schemas.
CREATE TABLE shared (
    key text PRIMARY KEY,
    value text NOT NULL
);

-- uid: of the host's state folder. worker: the host in the engine; NULL while it is dead.
-- config: the text of jobs.yaml that it runs; NULL if that is an old one.
CREATE TABLE hosts (
    name text PRIMARY KEY,
    uid text NOT NULL,
    worker bigint,
    version text NOT NULL,
    labels text NOT NULL,
    places integer NOT NULL,
    may_lead boolean NOT NULL,
    config bigint,
    fence_seconds double precision NOT NULL,
    joined_at timestamptz NOT NULL DEFAULT now(),
    lost_at timestamptz
);

-- Texts of jobs.yaml, by hash alone: commands and secrets stay on the hosts.
CREATE TABLE configs (
    no bigserial PRIMARY KEY,
    sha256 text NOT NULL,
    host text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);

-- What the names of the engine's queues mean.
CREATE TABLE queues (
    name text PRIMARY KEY,
    labels text NOT NULL,
    config bigint NOT NULL
);

-- One attempt given to the cluster. fence: the engine's job. body: what its host must know,
-- with the parameters of a request; '' when the attempt has ended.
-- force: how it is to be ended, '' if not. lost_at: its host was lost; the attempt waits.
CREATE TABLE assignments (
    run bigint NOT NULL,
    attempt integer NOT NULL,
    fence bigint NOT NULL UNIQUE,
    job text NOT NULL,
    body text NOT NULL,
    force text NOT NULL DEFAULT '',
    given_at timestamptz NOT NULL DEFAULT now(),
    host text,
    worker bigint,
    local_run bigint,
    lost_at timestamptz,
    ended_at timestamptz,
    PRIMARY KEY (run, attempt)
);
CREATE INDEX assignments_held ON assignments (host) WHERE ended_at IS NULL;

-- What hosts tell the leader, until it has recorded what follows.
CREATE TABLE reports (
    id bigserial PRIMARY KEY,
    body text NOT NULL
);

-- Requests of people on any host to the leader (host NULL), or for the output on a host.
-- headers, answer_headers: JSON objects. What is streamed has its bytes in `answer` until the
-- one who asked takes them; ended_at: no more will follow. asked_at is renewed meanwhile.
CREATE TABLE control_requests (
    id bigserial PRIMARY KEY,
    host text,
    peer text NOT NULL,
    method text NOT NULL,
    target text NOT NULL,
    headers text NOT NULL DEFAULT '{}',
    body bytea NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT now(),
    taken_at timestamptz,
    status integer,
    answer_headers text NOT NULL DEFAULT '{}',
    answer bytea,
    ended_at timestamptz
);
