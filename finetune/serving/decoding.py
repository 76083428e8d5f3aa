"""A batch of rows → their answers, step by step with a cache of keys and values; rows that are done leave at once."""

# ruff: noqa: N803, N806 - shape suffixes

import random
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from finetune.generation import left_padded
from finetune.serving.rows import End, Event, Piece, PromptScores, Row, Token
from finetune.serving.sampling import choose
from finetune.serving.scores import any_nan, prompt_scores, scored
from finetune.serving.served import Served
from finetune.serving.writing import Writer
from finetune.student import plain


class NotNumbersError(Exception):
    """The model computed what is no number."""


class Answering:
    """One row while it is answered."""

    def __init__(self, served: Served, row: Row) -> None:
        self.row = row
        self._stop_ids = {*served.base.stop_ids, *row.stop_ids}
        self._writer = Writer(served.text_of, row.stops)
        self._draws = random.Random(row.seed)  # noqa: S311 - which token comes next is no secret
        self._generated = 0
        self.ended = False

    def draw(self) -> float:
        """The chance for the next token."""
        return self._draws.random()

    def take(self, token: Token) -> None:
        """Adds the next token, and tells what follows."""
        self._generated += 1
        if token.id in self._stop_ids:
            return self._end("stop", self._writer.end(token))
        piece = self._writer.push(token)
        if self._writer.stopped:
            return self._end("stop", piece)
        self._tell_piece(piece)
        if self._generated >= self.row.max_tokens:
            rest = self._writer.end()
            return self._end("stop" if self._writer.stopped else "length", rest)
        return None

    def end_unwritten(self) -> None:
        """Ends a row that wanted no answer."""
        self._end("length", Piece(""))

    def tell(self, event: Event) -> None:
        """Tells whoever asked."""
        self.row.begun = True
        self.row.tell(event)

    def _tell_piece(self, piece: Piece) -> None:
        if piece.text or piece.tokens:
            self.tell(piece)

    def _end(self, reason: str, piece: Piece) -> None:
        self._tell_piece(piece)
        self.tell(End(reason, self._generated))
        self.ended = True


@torch.inference_mode()
def answer(served: Served, rows: Sequence[Row]) -> None:
    """Answers rows together and tells each its events; rows that are dropped meanwhile leave.

    Args:
        served: the model.
        rows: at least one; prompts of at least one token.

    Raises:
        NotNumbersError: the model's logits are none.
        torch.OutOfMemoryError: the device's memory does not hold the batch.
    """
    live = [Answering(served, row) for row in rows]
    batch = _Batch(served, [row.prompt for row in rows])
    hidden_BTD = batch.read(keep=any(row.max_tokens for row in rows))
    for place, one in enumerate(live):
        _tell_scores(served, one, hidden_BTD[place])
        if one.row.max_tokens == 0:
            one.end_unwritten()
    places = _staying(live)
    hidden_BD = hidden_BTD[places, -1]
    del hidden_BTD
    batch.keep(places)
    while places:
        live = [live[place] for place in places]
        tokens = _next_tokens(served.head(hidden_BD).float(), live)
        for one, token in zip(live, tokens, strict=True):
            one.take(token)
        places = _staying(live)
        if places:
            batch.keep(places)
            hidden_BD = batch.step([tokens[place].id for place in places])


def _staying(live: Sequence[Answering]) -> list[int]:
    return [place for place, one in enumerate(live) if not (one.ended or one.row.dropped)]


def _tell_scores(served: Served, one: Answering, hidden_TD: Tensor) -> None:
    if one.row.prompt_top is None:
        return
    ids_T = torch.tensor(one.row.prompt, device=hidden_TD.device)
    one.tell(PromptScores(prompt_scores(served.head, hidden_TD[-len(ids_T) :], ids_T, one.row.prompt_top)))


def _next_tokens(logits_BV: Tensor, live: Sequence[Answering]) -> list[Token]:
    if any_nan(logits_BV):
        raise NotNumbersError
    ids = choose(logits_BV, [one.row.sampling for one in live], [one.draw() for one in live])
    most = max((one.row.top for one in live if one.row.top is not None), default=None)
    if most is None:
        return [Token(token) for token in ids]
    found = scored(logits_BV, torch.tensor(ids, device=logits_BV.device), most)
    return [
        Token(token) if one.row.top is None else Token(token, own.logprob, best[: one.row.top])
        for one, token, (own, best) in zip(live, ids, found, strict=True)
    ]


class _Batch:
    """The rows' tokens in the model: padded on the left, so that the last token of each is in the last column."""

    def __init__(self, served: Served, prompts: Sequence[Sequence[int]]) -> None:
        self._decoder, self._device = plain(served.model).get_decoder(), served.base.device
        self._ids_BT, self._mask_BT = left_padded(served.base, prompts)
        self._cache: Any = None

    def read(self, *, keep: bool) -> Tensor:
        """The hidden states of the prompts, hidden_BTD; `keep` what goes on from them needs."""
        positions_BT = (self._mask_BT.cumsum(-1) - 1).clamp(min=0)
        return self._forward(self._ids_BT, positions_BT, keep=keep)

    def step(self, ids: Sequence[int]) -> Tensor:
        """The hidden states of each row's next token, hidden_BD."""
        ids_B1 = torch.tensor(ids, device=self._device)[:, None]
        self._mask_BT = torch.cat([self._mask_BT, torch.ones_like(ids_B1)], dim=-1)
        return self._forward(ids_B1, self._mask_BT.sum(-1, keepdim=True) - 1, keep=True)[:, -1]

    def keep(self, places: Sequence[int]) -> None:
        """Goes on with these rows only."""
        if len(places) in (0, len(self._mask_BT)):
            return
        places_B = torch.tensor(places, device=self._device)
        self._mask_BT = self._mask_BT[places_B]
        if self._cache is not None:
            self._cache.reorder_cache(places_B)  # of caches of every kind; places may be fewer than rows

    def _forward(self, ids_BT: Tensor, positions_BT: Tensor, *, keep: bool) -> Tensor:
        out = self._decoder(
            input_ids=ids_BT,
            attention_mask=self._mask_BT,
            position_ids=positions_BT,
            cache=self._cache,
            use_cache=keep,
        )
        self._cache = out.cache if keep else None
        hidden_BTD: Tensor = out.last_hidden_state
        return hidden_BTD
