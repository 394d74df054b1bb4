"""Whether users are served worse by a gateway that was switched than by the others."""
