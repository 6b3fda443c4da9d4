"""A published tutorial's LSTM in plain NumPy, and the gradient that it derives by hand, put on trial.

    python -m models.tutorial_lstm                        the gradient beside the exact one: table and picture
    python -m models.tutorial_lstm diagnose               the referee's diagnosis of it, and of another slip
    python -m models.tutorial_lstm train --as-published   training with it, as the tutorial trains
    python -m models.tutorial_lstm train --corrected      the same with the one wrong term put right

`model` is the model and its derivation; `trial` judges the gradient, `train` trains with it, and `cli` are the
commands.
"""
