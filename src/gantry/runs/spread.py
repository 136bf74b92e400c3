"""A few of many, evenly spread."""


def spread(total: int, most: int) -> list[int]:
    """At most `most` of the numbers 0 .. total - 1, the first and the last with them; of one, the first."""
    count = min(total, most)
    return [round(i * (total - 1) / max(count - 1, 1)) for i in range(count)]
