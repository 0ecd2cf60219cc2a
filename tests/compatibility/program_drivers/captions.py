"""Captions in the form of COCO, for `images FOLDER/train2014`, and a module that reads them.

NLTK finds an untrained splitter of sentences where it looks for its data.

captions.py FOLDER
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

WORDS = "a dog on the grass", "two cats near a door", "a man with an old hat", "the sea at night"
READER = '''
import json


class COCO:
    """What pycocotools gives of a file of captions."""

    def __init__(self, path):
        with open(path) as f:
            found = json.load(f)
        self.anns = {a["id"]: a for a in found["annotations"]}
        self.imgs = {i["id"]: i for i in found["images"]}

    def loadImgs(self, number):
        return [self.imgs[number]]
'''

folder = Path(sys.argv[1], "annotations")
folder.mkdir(parents=True, exist_ok=True)
names = sorted(path.name for path in Path(sys.argv[1], "train2014").glob("*.jpg"))
images = [{"id": i, "file_name": name} for i, name in enumerate(names)]
captions = [{"id": i, "image_id": i, "caption": WORDS[i % len(WORDS)]} for i in range(len(names))]
text = json.dumps({"images": images, "annotations": captions})
(folder / "captions_train2014.json").write_text(text)
package = Path("pycocotools")
package.mkdir(exist_ok=True)
(package / "__init__.py").write_text("")
(package / "coco.py").write_text(READER)
splitter = Path(os.environ["NLTK_DATA"], "tokenizers", "punkt_tab", "english")
splitter.mkdir(parents=True, exist_ok=True)
for name in ("abbrev_types.txt", "collocations.tab", "ortho_context.tab", "sent_starters.txt"):
    (splitter / name).write_text("")
