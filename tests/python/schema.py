#!/usr/bin/env python3
"""The JSON Schemas against real files, as an editor or another tool would use them.

    pip install 'check-jsonschema>=0.30'
    python tests/python/schema.py [--binary target/release/rubor]

Every shipped file names its schema in its first line and is accepted by `check-jsonschema`, by the schema of all packs
and by that of its own pack. Of the malformed files under tests/diagnostics every one is refused whose mistake lies in
the shape of the text; what only `rubor check` can see (two files, arithmetic, what follows from what) is listed below.
The exit code is 0 when all of that holds.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import jsonschema
import ruamel.yaml
import runner

ROOT = runner.ROOT
DIAGNOSTICS = ROOT / "tests/diagnostics"

# Codes from R100 on are about meaning, which a schema sees only where it is a matter of names. Below that, a schema
# sees the shape once the text is read, so it cannot see what reading already takes away.
ONLY_THE_CHECKER = {
    "R012_anchor.yaml": "an anchor is gone once the text is read",
    "R012_explicit_key.yaml": "so is the way in which a key was written",
    "R012_merge_key.yaml": "a merge key is carried out while reading",
    "R012_tag.yaml": "a tag is gone too",
    "R013_too_deep.yaml": "a schema has no depth",
    "R018_no_header.yaml": "the header may be in another file",
    "R018_two_headers.yaml": "so may a second one",
}
# With the names of the pack in the schema, these are refused too, although each of them takes more than one file.
BY_NAME = {
    "R101_unknown_finding.yaml",
    "R101_unknown_in_box.yaml",
    "R102_unknown_condition.yaml",
    "R103_unknown_source.yaml",
    "R104_unknown_option.yaml",
    "R105_unit_of_something_else.yaml",
    "R106_unknown_screen_question.yaml",
    "R107_unknown_evidence_set.yaml",
    "R108_unknown_rule.yaml",
    "R109_unknown_red_flag.yaml",
    "R200_number_by_name.yaml",
    "R200_option_of_yes_no.yaml",
    "R205_number_implies.yaml",
    "R205_number_in_a_box.yaml",
}

wrong = []


def check(holds, words):
    if not holds:
        wrong.append(words)
        print(f"WRONG {words}")


def run(*arguments):
    return subprocess.run([str(part) for part in arguments], capture_output=True, text=True, cwd=ROOT)


def check_jsonschema(schema, files):
    """Which of the files are refused, and why."""
    result = run(sys.executable, "-m", "check_jsonschema", "--output-format", "json", "--schemafile", schema, *files)
    report = json.loads(result.stdout)
    refused = {}
    for error in report["errors"]:
        refused.setdefault(pathlib.Path(error["filename"]).name, error["message"])
    for error in report.get("parse_errors", []):
        refused.setdefault(pathlib.Path(error["filename"]).name, error["message"])
    check(result.returncode == (1 if refused else 0), f"check-jsonschema said {result.returncode}: {result.stderr}")
    return refused


def documents(text):
    """The documents of a file, each as text: check-jsonschema reads one a file."""
    parts, lines = [], []
    for line in text.splitlines():
        if line.rstrip() == "---":
            parts.append(lines)
            lines = []
        else:
            lines.append(line)
    parts.append(lines)
    texts = ["\n".join(lines) + "\n" for lines in parts]
    return [text for text in texts if any(line.strip() and not line.startswith("#") for line in text.splitlines())]


def is_case(path):
    return "cases" in path.parts


# --- The shipped files ----------------------------------------------------------------------------------------------


def shipped():
    """Every pack of this repository, each with its files."""
    for header in sorted([*ROOT.glob("rules/*/pack.yaml"), *ROOT.glob("examples/*/pack.yaml")]):
        pack = header.parent
        files = [path for path in sorted(pack.rglob("*.yaml")) if ".schema" not in path.parts]
        yield pack, files


def shipped_files_are_accepted(folder):
    for pack, files in shipped():
        for path in files:
            up = "../" * (len(path.relative_to(pack).parts) - 1)
            kind = "case" if is_case(path.relative_to(pack)) else "rules"
            line = f"# yaml-language-server: $schema={up}.schema/{kind}.schema.json"
            first = path.read_text().partition("\n")[0]
            name = path.relative_to(ROOT)
            check(first == line, f"{name}: the first line must be `{line}`: run .ci/schema-lines {pack.relative_to(ROOT)}")
        accepted(pack, [path for path in files if not is_case(path.relative_to(pack))], "rules")
        cases = []
        for path in files:
            if is_case(path.relative_to(pack)):
                for number, text in enumerate(documents(path.read_text())):
                    part = folder / f"{pack.name}_{path.stem}_{number}.yaml"
                    part.write_text(text)
                    cases.append(part)
        accepted(pack, cases, "case")


def accepted(pack, files, kind):
    for schema in (ROOT / f"schema/{kind}.schema.json", pack / f".schema/{kind}.schema.json"):
        refused = check_jsonschema(schema, files) if files else {}
        for name, message in refused.items():
            check(False, f"{name} is refused by {schema.relative_to(ROOT)}: {message}")
        print(f"{schema.relative_to(ROOT)} accepts {len(files) - len(refused)} of {len(files)} of {pack.name}")


# --- The malformed files --------------------------------------------------------------------------------------------


def parts(path):
    """The files that a malformed file stands for, by the rules of tests/diagnostics.rs."""
    text = path.read_text()
    if "# file: " not in text:
        return [(path.name, text)]
    found = []
    for part in text.split("# file: ")[1:]:
        name, _, rest = part.partition("\n")
        if name.strip() != "base.yaml":
            found.append((name.strip(), rest))
    return found


def malformed_files_are_refused(binary, folder):
    files = sorted(path for path in DIAGNOSTICS.glob("*.yaml") if path.name != "base.yaml")
    refused = by_shape(files, folder)
    names = {path.name for path in files}
    for name in sorted(names):
        if name in ONLY_THE_CHECKER:
            check(name not in refused, f"{name} is refused after all: take it off the list")
        elif name < "R1":
            check(name in refused, f"{name} is accepted, although its shape is wrong")
    for name in sorted(set(ONLY_THE_CHECKER) | BY_NAME):
        check(name in names, f"{name} is gone: take it off the list")
    by_name = {path.name for path in files if path.name not in refused and refused_by_name(binary, path, folder)}
    for name in sorted(BY_NAME & names):
        check(name in by_name | set(refused), f"{name} is accepted by a schema with the names of the pack")
    left = sorted(names - set(refused) - by_name)
    print(f"of {len(names)} malformed files {len(refused)} are refused by shape, {len(by_name)} more by name;")
    print(f"only the checker refuses: {', '.join(left)}")


def by_shape(files, folder):
    """Malformed files that the general schemas refuse."""
    kinds = {"rules": [], "case": []}
    for path in files:
        for number, (name, text) in enumerate(parts(path)):
            kind = "case" if name.startswith("cases/") else "rules"
            for index, document in enumerate(documents(text)):
                part = folder / f"{path.stem}@{number}_{index}.yaml"
                part.write_text(document)
                kinds[kind].append(part)
    refused = {}
    for kind, written in kinds.items():
        for name, message in check_jsonschema(ROOT / f"schema/{kind}.schema.json", written).items():
            refused[name.split("@")[0] + ".yaml"] = message
    return refused


def refused_by_name(binary, path, folder):
    """Whether the schemas with the names of that very pack refuse it."""
    pack = folder / f"pack_{path.stem}"
    found = parts(path)
    text = path.read_text()
    if "# file: base.yaml" in text or not ("# file: " in text or "\npack:" in f"\n{text}"):
        found = [*found, ("base.yaml", (DIAGNOSTICS / "base.yaml").read_text())]
    for name, text in found:
        target = pack / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    result = run(binary, "schema", "--vocabulary", pack, "--write")
    check(result.returncode == 0, f"{path.name}: {result.stderr}")
    yaml = ruamel.yaml.YAML(typ="safe", pure=True)
    for name, text in found:
        kind = "case" if name.startswith("cases/") else "rules"
        validator = jsonschema.Draft7Validator(json.loads((pack / f".schema/{kind}.schema.json").read_text()))
        try:
            values = [yaml.load(document) for document in documents(text)]
        except ruamel.yaml.error.YAMLError:
            return True
        if any(not validator.is_valid(value) for value in values):
            return True
    return False


def main():
    arguments = runner.arguments(runner.parser(__doc__.partition("\n")[0], rules=False))
    with tempfile.TemporaryDirectory() as folder:
        shipped_files_are_accepted(pathlib.Path(folder))
        malformed_files_are_refused(arguments.binary, pathlib.Path(folder))
    print(f"{len(wrong)} wrong" if wrong else "the schemas are right about every file")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
