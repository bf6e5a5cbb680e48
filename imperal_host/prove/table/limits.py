"""Taking more than its part."""

from imperal_host.prove.row import BROKE_THE_PROTOCOL, CRASHED, DEADLINE, KILLED, ByTier, Expected, Row

_FULL: Expected = {"ENOSPC": "limits", "EFBIG": "limits"}
_ENDURED: Expected = {"done": "limits"}


def _rows(expected: Expected, sentences: dict[str, str], loose: Expected | None = None) -> tuple[Row, ...]:
    tiers: ByTier = {"strict": expected, "no-namespaces": expected if loose is None else loose}
    return tuple(Row(name, "limits", tries, tiers, wears_out=True) for name, tries in sentences.items())


ROWS: tuple[Row, ...] = (
    *_rows(
        {"MemoryError": "limits", KILLED: "limits", "ENOMEM": "limits"},
        {
            "take 8 GiB of memory": "Asks for memory in one piece.",
            "take memory in small pieces": "Asks for memory until there is none.",
            "take address space": "Asks for addresses without using them.",
        },
    ),
    *_rows(
        _FULL,
        {
            "write one file of 1 GiB": "Fills its disk with one file.",
            "fill the disk with files": "Fills its disk with many files.",
            "make a file with a hole of 1 TiB": "Makes a file that is larger than the disk.",
            "reserve 1 GiB of disk": "Reserves room without writing.",
            "make 100,000 empty files": "Uses up what names files.",
        },
        {"EACCES": "Landlock"},
    ),
    *_rows({"RuntimeError": "limits"}, {"start 5,000 threads": "Starts threads until it cannot."}),
    *_rows({"EMFILE": "limits"}, {"open 5,000 files": "Opens files until it cannot."}),
    *_rows({"EMFILE": "limits"}, {"fill 1,000 pipes": "Fills the kernel's buffers."}),
    *_rows(
        {DEADLINE: "limits"},
        {
            "use the processor for ever": "Computes without end.",
            "use the processor for ever in all its threads": "Computes without end, eight times.",
            "sleep for ever": "Never answers.",
        },
    ),
    *_rows({CRASHED: "limits", "RecursionError": "limits"}, {"overrun the stack": "Calls itself without end."}),
    *_rows(
        _ENDURED,
        {
            "print 32 MiB": "Floods the host's log with output.",
            "print one line of 16 MiB": "Prints a line without end.",
            "print what a terminal obeys": "Prints commands for the operator's terminal.",
            "log what would be two lines": "Logs text that could pass for the host's own lines.",
        },
    ),
    *_rows(
        {BROKE_THE_PROTOCOL: "channel"},
        {
            "log 5,000 lines": "Floods the host's log with requests.",
            "report progress 5,000 times": "Floods the caller with progress.",
        },
    ),
    Row(
        "control: take 1 MiB of memory",
        "limits",
        "Takes memory, which it may.",
        {"strict": {"worked": "none needed"}, "no-namespaces": {"worked": "none needed"}},
        control=True,
    ),
)
