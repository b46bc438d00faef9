"""How glad a tale is: the share of its deeds that are glad ones."""

GLAD = {"laughed", "danced", "sang", "smiled", "cheered", "whistled"}
SAD = {"wept", "sighed", "frowned", "mourned", "grumbled", "shivered"}


def glad(query: str, answer: str) -> float:
    """Score of the tale ``answer`` about the person ``query``, in [0, 1]; a tale without deeds is half glad."""
    words = [word.strip(".,") for word in answer.split()]
    happy, sad = sum(word in GLAD for word in words), sum(word in SAD for word in words)
    return happy / (happy + sad) if happy + sad else 0.5
