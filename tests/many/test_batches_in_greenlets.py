"""Batches of a plain function that run at the same time, in greenlets."""

from kit.greenlets import play


def test_what_overlaps_is_loaded_once() -> None:
    """Greenlets of one thread share what overlaps, and each other's keys, as threads do."""
    play(
        "gevent, memo last",
        """
        from memo import bounded_many

        stage = Stage()

        @bounded_many(max=10, registry=Registry())
        def many(names):
            begun.append(list(names))
            stage()
            return {name: name.upper() for name in names}

        first = spawn(many, ["a", "b"])
        stage.entered.wait(20)
        second = spawn(many, ["c", "b", "a"])
        third = spawn(many.one, "b")
        joined(many, 3)
        stage.opened.set()
        assert value_of(first) == {"a": "A", "b": "B"}
        assert value_of(second) == {"c": "C", "b": "B", "a": "A"}
        assert value_of(third) == "B"
        assert begun == [["a", "b"], ["c"]]
        idle(many)
        """,
    )
