"""The keys of the block `cluster`; docs/cluster.md says how to choose the times."""

from supervisor.config.key import Key, ValueKind

CLUSTER_KEYS = (
    Key(
        "postgres",
        ValueKind.SECRET,
        "",
        "the PostgreSQL that the hosts share: a URL, or key=value words",
        examples=("${file:/run/secrets/nightshift_dsn}",),
        required=True,
    ),
    Key("name", ValueKind.TEXT, "main", "the name of the cluster; several may share a database"),
    Key("host", ValueKind.TEXT, "none", "the name of this host; none: the machine's", none=True),
    Key(
        "labels",
        ValueKind.LABELS,
        "[]",
        "what jobs may ask for with runs_on; host:NAME is always among them",
        examples=("[db, zone:a]", "${NIGHTSHIFT_LABELS:-}"),
    ),
    Key(
        "heartbeat",
        ValueKind.DURATION,
        "5s",
        "how often a host says that it is alive",
        field="heartbeat_s",
        least=0.1,
    ),
    Key(
        "fence",
        ValueKind.DURATION,
        "30s",
        "time without a word from PostgreSQL after which a host ends what may begin elsewhere",
        field="fence_s",
        least=0.4,
    ),
    Key(
        "lease",
        ValueKind.DURATION,
        "60s",
        "time without a word from a host after which it counts as dead",
        field="lease_s",
        least=1,
    ),
    Key("lead", ValueKind.BOOL, "true", "whether this host may decide for the cluster"),
    Key(
        "max_concurrent",
        ValueKind.COUNT,
        "none",
        "runs at the same time on all hosts together",
        none=True,
        least=1,
        most=100000,
    ),
    Key(
        "metrics",
        ValueKind.ADDRESS,
        "none",
        "address where the host that leads serves the /metrics of the cluster by TCP",
        none=True,
        examples=("127.0.0.1:9188",),
    ),
)
