"""The one exception whose message is meant for the person at the keyboard."""


class ChargenError(ValueError):
    """Something a person typed or gave cannot be used.

    The message says what is wrong, shows the value, and gives the next step. The command line and
    the web page print it as it is; any other exception is a defect of chargen.
    """
