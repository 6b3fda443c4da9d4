"""How somebody's code is taken as it is: one point of it as a `Problem`, inputs in many sizes as `Case`s."""
