"""Whether what was compiled is right: gradients against differences, native code against meaning.

Invariant: a check changes no model that it is given, and its verdict does not depend on chance: the
same net, data and seed give the same one.
"""
