"""`simulate`: run the coming days through the rules, without processes or waiting."""
