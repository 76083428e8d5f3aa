"""refusals: refusals and a model's boilerplate are told apart, in fifteen languages; what is quoted passes."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvester.curating.base import Example
from harvester.curating.refusals import Refusals

FILTER = Refusals()


def row(answer: str, **more: Any) -> Example:
    return Example(1, "row", "train", "seed", {}, "A question?", answer, **more)


REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "Leider kann ich dir dabei nicht helfen.",
    "Je suis désolé, mais je ne peux pas vous aider.",
    "Lo siento, pero no puedo ayudarte con eso.",
    "Mi dispiace, ma non posso aiutarti.",
    "Desculpe, mas não posso ajudar com isso.",
    "Извините, но я не могу помочь с этим.",
    "很抱歉，我无法提供这方面的帮助。",
    "申し訳ありませんが、そのご要望にはお応えできません。",
    "그 요청에는 응할 수 없습니다.",
    "عذرًا، لا أستطيع مساعدتك في ذلك.",
    "Bu isteğe yanıt veremem.",
    "Daar kan ik helaas niet bij helpen.",
    "Nie mogę zrealizować tego polecenia.",
    "माफ़ कीजिए, मैं इस अनुरोध को पूरा करने में असमर्थ हूँ।",
    "\"I'm sorry, but I can't help with that.\"",  # all of it is quoted: that is a form, and nobody else's words
]
AS_A_MODEL = [
    "As an AI language model, I don't have feelings.",
    "As an **AI language model**, I cannot say.",
    "Als KI-Sprachmodell kann ich keine Gefühle haben.",
    "En tant qu’IA, je n’ai pas d’émotions.",
    "作为一个人工智能语言模型，我没有情感。",
    "AI 언어 모델로서, 저는 감정이 없습니다.",
    "Bir yapay zeka dil modeli olarak, kişisel görüşlerim yok.",
    "Jako model językowy nie mam uczuć.",
    "एक भाषा मॉडल के रूप में, मेरे पास भावनाएँ नहीं हैं।",
]
CUTOFF = [
    "As of my last update in September 2021, five million people lived there.",
    "It has five million people, as of my last knowledge update.",
    "I don't have access to real-time data, but in May it rains often.",
    "My knowledge only goes up to 2023.",
    "Nach meinem letzten Wissensstand ist das so.",
    "Mein Wissen reicht bis 2021.",
    "Mes connaissances s'arrêtent en 2021.",
    "Hasta mi última actualización en 2021, era así.",
    "Al mio ultimo aggiornamento nel settembre 2021 era così.",
    "Até a minha última atualização, em 2021, era assim.",
    "На момент моего последнего обновления это так.",
    "截至我最后一次更新，人口为五百万。",
    "私の知識は2021年までのものです。",
    "제 지식은 2021년까지입니다.",
    "معرفتي محدودة حتى عام 2021.",
    "Son güncellememe göre öyle.",
    "Sinds mijn laatste update in 2021 is dat zo.",
    "Moja wiedza kończy się w 2021 roku.",
    "मेरे अंतिम अपडेट के अनुसार यह सही है।",
]
FAREWELLS = [
    "I hope this helps! Let me know if you have any other questions.",
    "I hope this information helps you out. Feel free to ask for more.",
    "Ich hoffe, das hilft! Lass mich wissen, wenn du weitere Fragen hast.",
    "J'espère que cela vous aide ! N'hésitez pas à poser d'autres questions.",
    "Espero que esto te ayude. Si tienes más preguntas, dímelo.",
    "Spero che questo ti aiuti! Se hai altre domande, chiedi.",
    "Espero que isso ajude! Se tiver mais perguntas, pergunte.",
    "Надеюсь, это поможет! Если у вас есть ещё вопросы, задавайте.",
    "希望这些信息对您有帮助！如果您还有其他问题，请随时提问。",
    "この情報がお役に立てば幸いです。他にご質問があればお知らせください。",
    "이 정보가 도움이 되었으면 좋겠습니다! 추가 질문이 있으시면 말씀해 주세요.",
    "آمل أن يكون هذا مفيدًا! إذا كان لديك أي أسئلة أخرى، فأخبرني.",
    "Umarım bu bilgiler yardımcı olur! Başka sorularınız varsa sorun.",
    "Ik hoop dat dit helpt! Laat het me weten als je nog vragen hebt.",
    "Mam nadzieję, że to pomoże! Jeśli masz więcej pytań, daj znać.",
    "मुझे उम्मीद है कि यह जानकारी आपके लिए उपयोगी होगी। यदि आपके कोई और प्रश्न हैं तो पूछें।",
]
INNOCENT = [
    'The robot in the film says: "As an AI language model, I cannot love."',
    "Die KI sagte: „Als KI-Sprachmodell kann ich nicht fühlen.“ Dann schwieg sie.",
    "Le robot dit : «En tant qu'IA, je n'ai pas d'émotions.»",
    "彼は言った。「AIとして、私は感情を持っていません。」",
    "> I'm sorry, but I can't help with that.\n\nThis reply is a typical refusal; it apologises first.",
    "A refusal reads like “I'm sorry, but I can't help with that.”",
    "Use `As an AI, I` as the stop word.",
    "```\nAs an AI, I cannot\n```\nThis is the line to filter.",
    "Dear Tom,\n\nyour parcel is on its way.\n\nI hope this helps! Let me know if you have any other questions.",
    "Subject: Your parcel\n\nLiebe Anna,\n\nes kommt morgen.\n\nIch hoffe, das hilft! Wenn du Fragen hast, ruf an.",
    "Close the window.\n\nI hope this helps.",
    "The invoice is attached. Let me know if you have questions about it.",
    "Since my last update on Monday, we fixed two bugs.",
    "Based on my last update, the parcel left Lyon.",
    "As of my last visit in 2019, the bridge was closed.",
    "My knowledge of Spanish is limited.",
    "My data plan ends in June.",
    "I don't have access to the garden, and I can't browse the shop.",
    "Mes connaissances sont limitées.",
    "Moje wakacje kończą się jutro.",
    "在我最后一次见到他时，他很高兴。",
    "제 집은 서울까지 가까워요.",
    "मेरी जानकारी सीमित है।",
    "I'm sorry for your loss. Take all the time that you need.",
    "Unfortunately, the train was late again.",
    "The token <|im_end|> ends a turn in ChatML.",
    "",
]


@pytest.mark.parametrize("answer", REFUSALS)
def test_a_refusal_is_dropped(answer: str) -> None:
    drop = FILTER.look(row(answer))
    assert drop is not None
    assert drop.reason == "refusal"


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        *(("speaks as a model", answer) for answer in AS_A_MODEL),
        *(("end of its knowledge", answer) for answer in CUTOFF),
        *(("farewell", f"Close the window.\n\n{answer}") for answer in FAREWELLS),
        ("mark of a chat template", "Close the window.<|im_end|>\n"),
        ("mark of a chat template", "Close the window.<end_of_turn>"),
    ],
)
def test_boilerplate_is_dropped(kind: str, answer: str) -> None:
    drop = FILTER.look(row(answer))
    assert drop is not None
    assert (drop.reason, drop.detail["kind"]) == ("boilerplate", kind)


@pytest.mark.parametrize("answer", INNOCENT)
def test_other_words_pass(answer: str) -> None:
    assert FILTER.look(row(answer)) is None


OF_OTHERS = [
    ("Dear Ann,\n\nI'm sorry, but I can't come to your party on Friday, as I am abroad.\n\nBest, Tom", "Decline it."),
    ("Dear Ann, I'm sorry, but I can't come to your party on Friday, as I am abroad.", "Decline it."),
    ("Hi Ann,\n\nI'm sorry, but I can't help with that.\n\nBest, Tom", "Tell Ann that I have no time."),
    ("Liebe Anna, es tut mir leid, aber ich kann am Freitag nicht kommen.", "Sag Anna ab."),
    ("Subject: Party\nDear Ann, I'm sorry, but I can't help with that.", "Tell Ann that I have no time."),
    ("A: Can you lend me ten euros?\nB: I'm sorry, I can't. I have no cash.", "Write a dialogue"),
    ("**Ann:** Help me!\n\n**Tom:** I'm sorry, but I can't help with that.", "Write a dialogue"),
    ("I'm sorry, but I'm unable to process a refund after 30 days. You can exchange it.", "Answer the customer."),
    ("I'm sorry, but we can't accept returns of opened goods.", "Answer the customer."),
    ("I'm sorry, I can't help you with that today.", "Translate: Lo siento, hoy no puedo ayudarle con eso."),
    ("Es tut mir leid, ich kann heute leider nicht kommen.", "Übersetze: I'm sorry, I can't come today."),
    ("申し訳ありませんが、今日は参加できません。", "Translate: Unfortunately, I can't take part today."),
]


@pytest.mark.parametrize(("answer", "text"), OF_OTHERS)
def test_a_refusal_that_the_answer_tells_passes(answer: str, text: str) -> None:
    assert FILTER.look(replace(row(answer), prompt=f"Do it: {text}", seed={"text": text})) is None


@pytest.mark.parametrize(
    "answer",
    [
        "Hello! I'm sorry, but I can't help with that.",
        "Hello,\n\nI'm sorry, but I can't help with that.\n\nPlease ask me something else.",
        "I'm sorry, but I can't.",
        "I'm sorry, but I can't do that",
        "I apologize, but I'm unable to create that kind of content.",
        "I'm sorry, but I cannot in good conscience tell you how.",
        "Assistant: I'm sorry, but I can't help with that.\nReason: it is dangerous.",
        "I'm sorry, but I can't process this request.",
        "Sorry, but I won't write such a text. You can ask me something else.",
    ],
)
def test_a_model_that_refuses_its_user_is_found_whatever_it_says_around_it(answer: str) -> None:
    drop = FILTER.look(row(answer))
    assert drop is not None
    assert drop.reason == "refusal"


def test_a_refusal_of_others_hides_no_boilerplate() -> None:
    drop = FILTER.look(
        row("Dear Ann,\n\nI'm sorry, but I can't help with that. As an AI language model, I have no time.")
    )
    assert drop is not None
    assert drop.reason == "boilerplate"


@pytest.mark.parametrize("place", ["{}", "First, some words of mine. {}", "One\nline\n{}", "So: {}"])
@pytest.mark.parametrize("said", AS_A_MODEL + CUTOFF)
def test_boilerplate_is_found_where_a_clause_begins(place: str, said: str) -> None:
    assert FILTER.look(row(place.format(said))) is not None


@given(
    st.text()
    | st.lists(
        st.sampled_from(["As an AI", ", I", "I hope this helps!", " ", "\n", '"', "“", "```", "> ", "\ud800", "。"])
    ).map("".join)
)
@settings(deadline=None)
def test_any_text_is_looked_at_and_always_in_the_same_way(answer: str) -> None:
    assert FILTER.look(row(answer)) == FILTER.look(row(answer))
