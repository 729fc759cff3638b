"""Refuses the standard library in crates that are to do without it, their tests excepted."""

import pathlib
import re
import sys

USE = re.compile(r"(?<![A-Za-z0-9_])std::|extern crate std")
found = 0
for root in sys.argv[1:]:
    if "#![no_std]" not in pathlib.Path(root, "lib.rs").read_text():
        sys.exit(f"{root}/lib.rs does not say #![no_std]")
    for path in sorted(pathlib.Path(root).rglob("*.rs")):
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines, 1):
            # Unit tests are the last thing in a file; a single item may be for tests alone too.
            if line.startswith("#[cfg(test)]") and re.match(r"mod \w+ \{", lines[number]):
                break
            for_tests = number > 1 and lines[number - 2].strip() == "#[cfg(test)]"
            if USE.search(line.split("//")[0]) and not for_tests:
                print(f"{path}:{number}: {line.strip()}")
                found += 1
sys.exit(f"{found} uses of the standard library" if found else 0)
