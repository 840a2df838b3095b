"""How kernels are compiled: plain arrays in, plain arrays out.

jit          how functions are compiled and where the machine code is kept
emit         LLVM instructions from Python
lanes        arithmetic on vectors
exponential  exponentially distributed numbers in vector registers
arrays       aligned memory, even parts
"""
