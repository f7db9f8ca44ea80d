"""What the tests of the leak report share."""

from memo import LeakReport, StoreReport

__all__ = ("only",)


def only(report: LeakReport) -> StoreReport:
    (store,) = report.stores
    return store
