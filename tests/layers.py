"""The layers of the library's packages."""

# A package may import only from packages in the lines below its own.
LAYERS = [
    {"bench"},
    {"preflight"},
    {"training"},
    {"config"},
    {"evaluation"},
    {"sampling"},
    {"data"},
    {"models"},
    {"losses", "artifacts"},
    {"runtime"},
]
LAYER_OF = {package: number for number, layer in enumerate(LAYERS) for package in layer}
