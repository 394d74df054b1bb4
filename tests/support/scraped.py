"""What a service tells Prometheus, read with Prometheus' own parser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from asgi_client import Client


class Scraped(dict[tuple[str, frozenset[tuple[str, str]]], float]):
    """Samples by name and labels."""

    @classmethod
    def parse(cls, text: str) -> Scraped:
        families = text_string_to_metric_families(text)
        return cls(
            ((sample.name, frozenset(sample.labels.items())), sample.value)
            for family in families
            for sample in family.samples
        )

    @classmethod
    def of(cls, client: Client) -> Scraped:
        answer = client.get("/metrics")
        assert answer.status_code == 200
        assert answer.content_type.startswith("text/plain; version=0.0.4")
        return cls.parse(answer.get_data(as_text=True))

    def value(self, name: str, **labels: str) -> float:
        """One sample; 0 where there is none yet, as a counter nobody has counted."""
        return self.get((name, frozenset(labels.items())), 0.0)

    def labels(self, name: str) -> dict[str, str]:
        """The labels of the only sample of this name."""
        (found,) = [labels for known, labels in self if known == name]
        return dict(found)

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self}
