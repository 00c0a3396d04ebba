"""BCM through CMDaemon's JSON and REST interface (bcm-facts §8): for reading only."""
