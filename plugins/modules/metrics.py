#!/usr/bin/python
"""Ansible module: the metrics of the gateway of this host, and of the others."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.askfleet.fleet.plugins.module_utils.host import page

DOCUMENTATION = r"""
module: metrics
short_description: Read the metrics of gateways
description:
  - The host asks its own gateway and the others. Of the others, who does not answer is left out.
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
author: askfleet
"""

EXAMPLES = r"""
- name: Read the metrics of gateways
  askfleet.fleet.metrics:
    url: http://127.0.0.1:7000
    others: ["http://198.18.0.12:7000"]
"""

RETURN = r"""
own:
  description: Those of the gateway of this host, in Prometheus' text format.
  type: str
  returned: success
others:
  description: The same of each other gateway, by its URL; without those that do not answer.
  type: dict
  returned: success
"""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "others": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    url = module.params["url"]
    own = page(f"{url}/metrics")
    if own is None:
        module.fail_json(msg=f"{url}/metrics does not answer")
    told = {one: page(f"{one}/metrics") for one in module.params["others"]}
    others = {one: text for one, text in told.items() if text is not None}
    module.exit_json(changed=False, own=own, others=others)


if __name__ == "__main__":
    main()
