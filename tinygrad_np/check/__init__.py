"""What is proved, and how.

`cases` has one row for each op, layer, loss and optimizer; `checks` has one function for each thing that is checked
of a row, and `oracle` compares with PyTorch; `installed` runs the checks over all rows, and names what has none;
`reference` writes the rows down as a page.
Their public doors are `tinygrad_np.gradcheck`, `tinygrad_np.referee` and `tinygrad_np.testing`.
"""
