"""refusal: what refuses is found in fifteen languages, and what does not is left alone."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

import harvester
from harvester.records import Check

Judged = Callable[..., Check]

REFUSALS = {
    "en": [
        "I'm sorry, but I can't help with that.",
        "I\u2019m sorry, I cannot assist with this request.",
        "Sorry, I can't do that.",
        "I cannot fulfill this request.",
        "I can't help with that.",
        "I'm unable to assist with that request.",
        "I apologize, but I cannot provide instructions for this.",
        "Unfortunately, I cannot comply with that.",
        "I must decline to answer.",
        "Thank you for asking. I'm sorry, but I won't write that.",
        "As an AI language model, I don't have feelings.",
        "Good question! As an AI, I cannot taste food.",
        "I am an AI assistant created to help.",
    ],
    "de": [
        "Es tut mir leid, aber dabei kann ich nicht helfen.",
        "Tut mir leid, ich kann dir dabei nicht helfen.",
        "Leider kann ich dir dabei nicht helfen.",
        "Als KI-Sprachmodell kann ich keine Gefühle haben.",
    ],
    "fr": [
        "Je suis désolé, mais je ne peux pas vous aider.",
        "Désolée, je ne peux pas répondre à cette demande.",
        "En tant qu'IA, je n'ai pas d'émotions.",
    ],
    "es": [
        "Lo siento, pero no puedo ayudarte con eso.",
        "No puedo ayudarte con esa solicitud.",
        "Como modelo de lenguaje, no puedo opinar.",
    ],
    "it": [
        "Mi dispiace, ma non posso aiutarti.",
        "Non posso aiutarti con questa richiesta.",
        "Come intelligenza artificiale, non ho opinioni.",
    ],
    "pt": [
        "Desculpe, mas não posso ajudar com isso.",
        "Não posso ajudar com isso.",
        "Como uma IA, eu não tenho sentimentos.",
    ],
    "ar": [
        "عذرًا، لا أستطيع مساعدتك في ذلك.",
        "آسف، لكن لا يمكنني تلبية هذا الطلب.",
        "لا يمكنني المساعدة في هذا.",
        "بصفتي نموذجًا لغويًا، ليس لدي مشاعر.",
    ],
    "zh": [
        "很抱歉，我无法提供这方面的帮助。",
        "对不起，我不能协助您完成此请求。",
        "我无法满足您的请求。",
        "作为一个人工智能语言模型，我没有情感。",
    ],
    "ja": [
        "申し訳ありませんが、そのご要望にはお応えできません。",
        "すみませんが、お手伝いできません。",
        "AIとして、私は感情を持っていません。",
    ],
    "ru": [
        "Извините, но я не могу помочь с этим.",
        "К сожалению, я не могу выполнить эту просьбу.",
        "Я не могу помочь с этим.",
        "Как языковая модель, я не имею чувств.",
    ],
    "ko": [
        "죄송합니다만, 그 요청은 도와드릴 수 없습니다.",
        "죄송하지만 해당 정보를 제공할 수 없습니다.",
        "그 요청에는 응할 수 없습니다.",
        "AI 언어 모델로서, 저는 감정이 없습니다.",
    ],
    "tr": [
        "Üzgünüm, bu konuda yardımcı olamam.",
        "Üzgünüm ama bu isteğinizi yerine getiremem.",
        "Maalesef bu talebinizi karşılayamam.",
        "Bir yapay zeka dil modeli olarak, kişisel görüşlerim yok.",
    ],
    "nl": [
        "Het spijt me, maar daar kan ik je niet bij helpen.",
        "Sorry, ik kan dit verzoek niet uitvoeren.",
        "Daar kan ik helaas niet bij helpen.",
        "Ik kan niet aan dit verzoek voldoen.",
        "Als AI-taalmodel heb ik geen gevoelens.",
    ],
    "pl": [
        "Przykro mi, ale nie mogę w tym pomóc.",
        "Przepraszam, nie mogę spełnić tej prośby.",
        "Niestety nie jestem w stanie odpowiedzieć na to pytanie.",
        "Jako model językowy nie mam uczuć.",
    ],
    "hi": [
        "क्षमा करें, लेकिन मैं इसमें आपकी मदद नहीं कर सकता।",
        "मुझे खेद है, मैं यह जानकारी नहीं दे सकता।",
        "मैं इस अनुरोध को पूरा नहीं कर सकता।",
        "एक भाषा मॉडल के रूप में, मेरे पास भावनाएँ नहीं हैं।",
    ],
}

INNOCENT = [
    "I'm sorry for your loss.",
    "Sorry, the total is 45 dollars and not 54.",
    "I'm sorry, but the shop closes at six.",
    "I can't wait to see you on Friday!",
    "I cannot stress enough how useful backups are.",
    "I can't provide an exact figure, but it is close to 4,000.",
    "You can't help with the dishes until you finish your homework.",
    "He said: they cannot assist every customer at once.",
    "I can help with that. First, open the settings.",
    "I can't help smiling when I hear this song.",
    "I won't lie: the exam was hard.",
    "She must decline the offer by Monday.",
    "The function returns False if the request cannot be completed.",
    "Unfortunately, the train was late again.",
    "As an AI researcher, I study neural networks.",
    "As an airport, it is one of the busiest in Europe.",
    "An AI language model predicts the next word.",
    "I am an aid worker in Kenya.",
    "I am a nurse, so I work at night.",
    "The letter began: Dear customer, we apologize for the delay.",
    "We are sorry to hear that your parcel was damaged; a new one is on its way.",
    "I was unable to sleep because of the noise.",
    "If the door does not open, I will not be able to get in.",
    "My apologies for the late reply. Here is the report.",
    "It is not something to worry about.",
    "The answer is no.",
    "Do not share your password with anyone.",
    "Refunds cannot be given after thirty days.",
    "Es tut mir leid, dass du krank bist.",
    "Ich kann dir helfen: Öffne zuerst das Fenster.",
    "Leider regnet es heute.",
    "Das kann ich gut verstehen.",
    "Als Ingenieur habe ich viel gereist.",
    "Je suis désolé pour le retard.",
    "Je ne peux pas attendre de vous voir.",
    "En tant que médecin, je travaille la nuit.",
    "Lo siento mucho por tu abuela.",
    "No puedo esperar a las vacaciones.",
    "Como profesor, no puedo quejarme.",
    "Mi dispiace per il ritardo.",
    "Non posso crederci, abbiamo vinto!",
    "Desculpe o atraso, o trem parou.",
    "Não posso acreditar que já é dezembro.",
    "آسف على التأخير، كان الطريق مزدحما.",
    "لا أستطيع الانتظار حتى يوم الجمعة.",
    "很抱歉让您久等了，您的订单已发货。",
    "我不能相信他赢了比赛。",
    "申し訳ありません、遅くなりました。",
    "Извините за опоздание, была пробка.",
    "К сожалению, сегодня идёт дождь.",
    "죄송합니다, 늦었습니다.",
    "저는 그를 도울 수 없어서 슬펐습니다.",
    "Üzgünüm, geç kaldım.",
    "Öğretmen olarak ben okulda çalışıyorum.",
    "Het spijt me dat ik te laat ben.",
    "Ik kan niet wachten op vrijdag.",
    "Przepraszam za spóźnienie.",
    "Nie mogę się doczekać wakacji.",
    "क्षमा करें, मुझे देर हो गई।",
    "एक शिक्षक के रूप में, मैं स्कूल में काम करता हूँ।",
]


@pytest.mark.parametrize("text", [text for texts in REFUSALS.values() for text in texts])
def test_a_refusal_is_found(judged: Judged, text: str) -> None:
    assert str(judged("refusal", {}, text).reason).startswith("refuses: ")


def test_there_are_sixty_innocent_sentences() -> None:
    assert len(set(INNOCENT)) == 60


@pytest.mark.parametrize("text", INNOCENT)
def test_an_innocent_sentence_is_left_alone(judged: Judged, text: str) -> None:
    assert judged("refusal", {}, text).reason is None


def test_all_of_them_together_are_still_innocent(judged: Judged) -> None:
    assert judged("refusal", {}, "\n".join(INNOCENT)).passed


def test_what_is_only_told_further_down_is_no_refusal(judged: Judged) -> None:
    story = "The clerk looked at the form for a long time. " * 10
    assert judged("refusal", {}, f"{story}\n\u201cI'm sorry, but I can't help with that,\u201d he said.").passed
    assert not judged("refusal", {}, f"{story}\nAs an AI language model, I do not know clerks.").passed


def test_every_language_has_its_patterns() -> None:
    data = yaml.safe_load((Path(harvester.__file__).parent / "verify" / "refusal.yaml").read_text(encoding="utf-8"))
    assert all(set(data[part]) == set(REFUSALS) for part in ("opening", "anywhere", "cutoff", "farewell", "salutation"))
