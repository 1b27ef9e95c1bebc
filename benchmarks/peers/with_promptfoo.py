"""The task with promptfoo: an eval of one provider a configuration; its disk cache keeps replies.

After a kill it is run again, which the cache answers; ``--resume`` gave each result several times (0.121.20).
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

task, folder, program = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]), sys.argv[3]
config, output = folder / "results" / "config.json", folder / "results" / "output.json"
config.parent.mkdir(exist_ok=True)
providers = [
    {
        "id": f"openai:chat:{model}",
        "label": f"{model} {temperature}",
        "config": {"temperature": temperature, "apiBaseUrl": task["api_base"], "apiKey": "none"},
    }
    for model in task["models"]
    for temperature in task["temperatures"]
]
messages = [{"role": "system", "content": task["instructions"]}, {"role": "user", "content": "{{text}}"}]
tests = [{"vars": {"text": row["text"]}, "assert": [{"type": "equals", "value": row["label"]}]} for row in task["rows"]]
config.write_text(json.dumps({"prompts": [json.dumps(messages)], "providers": providers, "tests": tests}))
command = [program, "eval", "-c", str(config), "-j", str(task["in_flight"]), "-o", str(output)]
command += ["--no-table", "--no-progress-bar"]
environment = {"PROMPTFOO_CONFIG_DIR": str(folder / "results"), "PROMPTFOO_CACHE_PATH": str(folder / "store")}
subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **environment})
right: Counter[str] = Counter()
for each in json.loads(output.read_text())["results"]["results"]:
    right[each["provider"]["label"]] += each["success"]
print(json.dumps({name: count / len(task["rows"]) for name, count in right.items()}))
