"""The leaky integrate-and-fire (LIF) neuron of this project, in one place.

In each step of 1 ms, with input current ``I[t] = W s_in[t] + b``,

    v[t] = decay * u[t-1] + I[t]          membrane potential before the reset
    s[t] = 1 if v[t] >= threshold else 0  spike
    u[t] = v[t] * (1 - s[t])              membrane potential after the reset to zero

with ``u[-1] = 0``. In the backward pass the reset is detached (no gradient flows through ``s[t]``
into ``u[t]``) and the derivative of the step function is replaced by a surrogate ``f``
(:mod:`spikejoule.model.surrogate`), which gives, from the last step to the first,

    dL/dv[t] = dL/ds[t] * f(v[t] - threshold) + decay * (1 - s[t]) * dL/dv[t+1]

Both engines implement exactly this; ``tests/naive.py`` states it a third time as plain loops.
Source of the training method: Neftci, Mostafa and Zenke, IEEE Signal Processing Magazine 36(6),
2019, doi:10.1109/MSP.2019.2931595.
"""
