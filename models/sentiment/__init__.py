"""Is a review good or bad? An LSTM reads it word by word: train it, test it, ask it, let it read speeches.

    python -m models.sentiment train --data demo
    python -m models.sentiment predict --run runs/demo "not good at all"

From the text to the answer: `data` makes examples of reviews, `model` is the network, `train` and `evaluate`
are the loops over batches, `run` is the directory that holds all of one training, and `cli` the commands.
"""
