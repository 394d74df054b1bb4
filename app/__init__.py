"""The services of askfleet: encoder, gateway and shard, and the formats they share."""

__version__ = "0.1.0"
