"""Floor 3: language models. Backends that answer NextToken, Complete and LogProb; nothing here knows a program."""
