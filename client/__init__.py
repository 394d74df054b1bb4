"""The commands of ``askfleet`` for people and scripts on the controller; hosts have none of it."""
