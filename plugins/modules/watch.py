"""What `ansible-doc` shows of the action plugin of this name, which does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: watch
short_description: Watch a gateway that was switched beside those that were not
description:
  - Reads what the gateways count, again and again, and compares what they have counted since. Fails
    as soon as the gateway of this host serves users worse, and says in what.
options:
  url:
    description: The gateway of this host.
    type: str
    required: true
  others:
    description: The other gateways, as their hosts are reached from this one.
    type: list
    elements: str
    required: true
  seconds:
    description: How long to watch.
    type: int
    required: true
author: askfleet
"""

EXAMPLES = r"""
- name: Watch for two minutes
  askfleet.fleet.watch:
    url: http://127.0.0.1:7000
    others: ["http://198.18.0.12:7000"]
    seconds: 120
"""

RETURN = r"""
told:
  description: What was seen, for people.
  type: str
  returned: success
"""
