"""Options that several modules have: the directories of a host."""

from __future__ import annotations


class ModuleDocFragment:
    """What Ansible loads; a module names the parts, as in `askfleet.fleet.directories.state`."""

    DATA = r"""
options:
  data_dir:
    description: Directory of generations, models and links.
    type: path
    required: true
"""

    INSTALL = r"""
options:
  install_dir:
    description: Directory of releases, environments and of the link C(current).
    type: path
    required: true
"""

    UNITS = r"""
options:
  config_dir:
    description: Directory of the settings.
    type: path
    required: true
  unit_dir:
    description: Directory of the units.
    type: path
    default: /etc/systemd/system
"""

    STATE = r"""
options:
  state_dir:
    description: >-
      Directory of the lock and the journal, of what is C(next), and of what services were started
      with.
    type: path
    required: true
"""
