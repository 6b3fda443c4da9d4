"""How broad is it? PyTorch's own samples of its ops, layers and optimizers, put to ours.

    python -m tests.breadth [--only NAME] [--failures] [--samples N] [--jobs N] [--markdown FILE]

PyTorch tests itself with lists: every op with inputs that are worth trying, every layer with constructor
arguments and inputs, every optimizer with settings. Here each sample is given to PyTorch and to our function of
that name, and value and gradient have to agree. What PyTorch can and this project does not try to (complex
numbers, sparse layouts, ...) is left out by the rules of `samples`, and counted.

`names` finds our function for a name of PyTorch's, `samples` draws the samples and says which are left out, `trial`
tries one, with one of the `outcomes`, and `report` writes what came out. ``python -m tests.breadth.lists`` compares
names alone, with those of MyGrad and autograd too.
"""
