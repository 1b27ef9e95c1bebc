"""A program that knows nothing of paretune: it names the emotion of each text that it reads, by the openai package.

    echo '{"text": "What a day!"}' | OPENAI_API_KEY=… python examples/emotions_app.py --model gpt-4o-mini

A search over its model and its temperature needs no change of it, but two lines in conf/program/own.yaml,

    command: [python, examples/emotions_app.py, --model, '{model}', --temperature, '{temperature}']
    source: examples/emotions_app.py

and `dvc exp run -S program=own -S search=own`.
"""

import argparse
import json
import sys
from collections import Counter

from openai import OpenAI

EMOTIONS = ("sadness", "joy", "love", "anger", "fear", "surprise")
SYSTEM = f"Which emotion does the text express: {', '.join(EMOTIONS)}? Answer with one word."


def emotion_of(client: OpenAI, text: str, options: argparse.Namespace) -> str:
    """The emotion that most of the replies name."""
    votes: Counter[str] = Counter()
    for _ in range(options.votes):
        reply = client.chat.completions.create(
            model=options.model,
            messages=[{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}],
            temperature=options.temperature,
            max_tokens=8,
        )
        words = (reply.choices[0].message.content or "").lower()
        votes[next((emotion for emotion in EMOTIONS if emotion in words), words)] += 1
    return votes.most_common(1)[0][0]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="gpt-4o-mini")
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--votes", type=int, default=1)
    options = parser.parse_args()
    client = OpenAI()  # its address and its key are those of the environment
    for line in sys.stdin:
        print(json.dumps({"label": emotion_of(client, json.loads(line)["text"], options)}), flush=True)


if __name__ == "__main__":
    main()
