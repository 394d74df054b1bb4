"""What `ansible-doc` shows of the action plugin of this name, which does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: preview
short_description: Ask a gateway real questions of two generations, and judge what changes
description:
  - Runs C(askfleet preview) on the gateway's host, with the questions on its standard input. They
    are no arguments of a module, so the host writes them nowhere, its journal included.
  - Figures, verdict and report are made on the controller. A gate that fails, fails the task.
  - Without O(argv) it reads its inputs alone, so that mistakes in them are found before a host is
    touched.
options:
  argv:
    description: The command, with its options.
    type: list
    elements: str
    default: []
  questions:
    description: Files with questions, read in order.
    type: list
    elements: path
    required: true
  qrels:
    description: A file that says which documents answer which question; empty for none.
    type: str
    default: ""
  fields:
    description: Metadata fields by whose values the figures are shown, too.
    type: list
    elements: str
    default: []
  limit:
    description: How many questions are asked at most; of more, a sample.
    type: int
    default: 5000
  names:
    description: The two generations, that of before first.
    type: list
    elements: str
    default: []
  gates:
    description: The figures that fail the task, by name; null or empty reports only.
    type: dict
    default: {}
  report_dir:
    description: The directory of the reports; each is a directory in it.
    type: path
    required: true
author: askfleet
"""

EXAMPLES = r"""
- name: Preview
  askfleet.fleet.preview:
    argv: [askfleet, preview, "--url=http://127.0.0.1:7000", --before=A, --after=B]
    names: [A, B]
    questions: [questions.jsonl]
    report_dir: var/previews
"""

RETURN = r"""
told:
  description: The figures, as lines for people.
  type: list
  elements: str
  returned: success, and where a gate failed
report:
  description: The report, an HTML file.
  type: str
  returned: as told
"""
