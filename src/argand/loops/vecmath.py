"""to come"""

MATH = {}
