"""Strangers: networks in the styles in which people write them, right and with mistakes planted, to measure the
referee with. ``python -m tests.strangers`` runs them."""

from tests.strangers import (
    attention_additive,
    attention_block,
    attention_single,
    gru_buffers,
    gru_dicts,
    lstm_class,
    lstm_fused,
    lstm_gates,
    lstm_lists,
    lstm_peephole,
    lstm_tuples,
    rnn_batch,
    rnn_bidirectional,
    rnn_elman,
)

MODULES = (
    lstm_gates,
    lstm_fused,
    lstm_class,
    lstm_peephole,
    lstm_lists,
    lstm_tuples,
    gru_dicts,
    gru_buffers,
    rnn_elman,
    rnn_batch,
    rnn_bidirectional,
    attention_single,
    attention_additive,
    attention_block,
)
NETWORKS = tuple(network for module in MODULES for network in module.NETWORKS)
