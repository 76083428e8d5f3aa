"""language: what an answer is written in."""

from collections.abc import Callable

import pytest

from harvester.records import Check

Judged = Callable[..., Check]

SENTENCES = {
    "en": [
        "The cat sat on the mat and looked out of the window.",
        "Sort the list first, then return the smallest item.",
    ],
    "de": ["Die Katze sitzt auf der Matte und schaut aus dem Fenster.", "Wasser kocht bei hundert Grad Celsius."],
    "fr": ["Le chat est assis sur le tapis et regarde par la fenêtre.", "L'eau bout à cent degrés Celsius."],
    "es": ["El gato está sentado en la alfombra y mira por la ventana.", "El agua hierve a cien grados Celsius."],
    "it": ["Il gatto è seduto sul tappeto e guarda dalla finestra.", "L'acqua bolle a cento gradi Celsius."],
    "pt": ["O gato está sentado no tapete e olha pela janela.", "A água ferve a cem graus Celsius."],
    "tr": ["Kedi paspasın üzerinde oturuyor ve pencereden bakıyor."],
    "ru": ["Кошка сидит на коврике и смотрит в окно.", "Вода кипит при ста градусах Цельсия."],
    "uk": ["Кішка сидить на килимку і дивиться у вікно на подвір'я."],
    "ar": ["القطة تجلس على السجادة وتنظر من النافذة.", "يغلي الماء عند مئة درجة مئوية."],
    "fa": ["گربه روی فرش نشسته است و از پنجره به بیرون نگاه می‌کند."],
    "zh": ["猫坐在垫子上，看着窗外的风景。"],
    "ja": ["猫はマットの上に座って、窓の外を見ています。"],
    "ko": ["고양이가 매트 위에 앉아 창밖을 보고 있다."],
    "hi": ["बिल्ली चटाई पर बैठी है और खिड़की से बाहर देख रही है।"],
    "el": ["Η γάτα κάθεται στο χαλί και κοιτάζει έξω από το παράθυρο."],
}
CASES = [(code, text) for code, texts in SENTENCES.items() for text in texts]


@pytest.mark.parametrize(("code", "text"), CASES)
def test_a_sentence_passes_in_its_own_language_and_in_no_other(judged: Judged, code: str, text: str) -> None:
    passing = {one for one in SENTENCES if judged("language", {"is": one}, text).passed}
    assert passing == {code}


def test_any_of_several_languages_will_do(judged: Judged) -> None:
    both = {"is": ["en", "ar"]}
    assert judged("language", both, SENTENCES["en"][0]).passed
    assert judged("language", both, SENTENCES["ar"][0]).passed
    assert judged("language", both, SENTENCES["fr"][0]).reason == "written in fr, not in en or ar"


@pytest.mark.parametrize(
    "text", ["", "42", "3 + 4 = 7", "😀 !", "```python\nfor x in y:\n    print(x)\n```", "https://example.org/page"]
)
def test_what_is_in_no_language_passes(judged: Judged, text: str) -> None:
    assert judged("language", {"is": "ar"}, text).passed


@pytest.mark.parametrize(
    ("text", "code", "passed"),
    [
        ("Paris", "en", True),  # one word: its script is all that can be told
        ("Paris", "ar", False),
        ("باريس", "ar", True),
        ("باريس", "en", False),
        ("Москва", "ru", True),
        ("你好", "zh", True),
        ("ありがとう", "ja", True),
        ("Ja", "de", True),
        ("Si", "it", True),
    ],
)
def test_the_script_decides_for_a_word(judged: Judged, text: str, code: str, passed: bool) -> None:
    assert judged("language", {"is": code}, text).passed is passed


def test_names_and_code_of_another_script_do_not_change_the_language(judged: Judged) -> None:
    text = "استخدم المكتبة PyTorch لتدريب النموذج على وحدة معالجة الرسوميات.\n```python\nimport torch\nmodel = torch.nn.Linear(1, 1)\n```"
    assert judged("language", {"is": "ar"}, text).passed


def test_close_relatives_count_as_one(judged: Judged) -> None:
    assert judged("language", {"is": "no"}, "Eg veit ikkje kva dei heiter, men dei kjem frå Noreg.").passed
    assert judged("language", {"is": "zh"}, "佢哋今日去咗邊度呀？我唔知道佢哋喺邊。").passed


@pytest.mark.parametrize("named", ["no", "nb", "nb-NO", ["sv", "nb"]])
def test_both_codes_of_norwegian_are_known(judged: Judged, named: object) -> None:
    text, other = "Jeg vet ikke hva de heter, men de kommer fra Norge og bor her nå.", SENTENCES["ar"][0]
    assert judged("language", {"expected": "target"}, text, {"target": named}).passed
    assert not judged("language", {"expected": "target"}, other, {"target": named}).passed


def test_a_recipe_may_name_norwegian_as_its_seeds_do(judged: Judged) -> None:
    assert judged("language", {"is": "nb"}, "Jeg vet ikke hva de heter, men de kommer fra Norge og bor her nå.").passed


@pytest.mark.parametrize(
    ("named", "passed"),
    [("ar", True), ("en", False), (["en", "ar"], True), ("AR", True), ("ar-EG", True), ("pt_BR", False)],
)
def test_each_seed_may_name_its_own_language(judged: Judged, named: object, passed: bool) -> None:
    check = judged("language", {"expected": "target"}, SENTENCES["ar"][0], {"target": named})
    assert check.passed is passed


@pytest.mark.parametrize(
    "seed", [{}, {"target": None}, {"target": "Arabic"}, {"target": ""}, {"target": []}, {"target": [7]}]
)
def test_a_seed_that_names_no_language_is_said_so(judged: Judged, seed: dict[str, object]) -> None:
    reason = judged("language", {"expected": "target"}, SENTENCES["ar"][0], seed).reason
    assert str(reason).startswith('the seed\'s field "target" holds no language, such as en, but ')
