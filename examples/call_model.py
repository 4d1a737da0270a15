"""Calls a compiled net from Python: training, prediction, gradients, and a checkpoint.

python examples/call_model.py
"""

from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import netc

HERE = Path(__file__).parent

with (files("netc.runtime") / "digits.npz").open("rb") as file:
    archive = np.load(file)
    images = archive["images"].reshape(-1, 64) / 16
    labels = archive["labels"]

train, test = slice(0, 1500), slice(1500, None)

model = netc.compile(str(HERE / "logistic.net"))
print(model.summary())

history = model.fit(images[train], labels[train], epochs=20, progress=False)
scores = model.evaluate(images[test], labels[test])
print(f"loss {scores['loss']:.3f}, accuracy {scores['accuracy']:.3f} on digits never seen")

probabilities = model.predict(images[test])
print("the first five:", probabilities[:5].argmax(axis=1), "should be", labels[test][:5])

# The same functions one by one, as a training loop of one's own would call them.
batch = slice(0, 50)
model.forward(images[batch], training=True)
objective = model.backward(labels[batch])
steepest = np.abs(model.grads["logits.dense.W"]).max()
model.update()
print(f"objective {objective:.4f}, largest slope {steepest:.4f}")

with TemporaryDirectory() as folder:
    model.save(folder)
    again = netc.load(folder)
    same = np.array_equal(again.predict(images[test]), model.predict(images[test]))
    print("the saved model predicts the same:", same)
