"""Writes train.jsonl, dev.jsonl and heldout.jsonl: invented payment notes, the same bytes at every run.

The three splits share no first name, no last name and no sentence template, so a student that scores on the held-out
split has learnt to extract and has not memorised. What they do share is how dates and amounts are written, and the
shares of plain, numbered and two-person sentences: held-out is as hard as train, by construction.

Run it with `python make_seeds.py`; it needs the standard library only.
"""

import json
import random
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

SEED = 20240305


@dataclass(frozen=True)
class Split:
    """Everything one split is made from; no name or template appears in two splits."""

    first_names: tuple[str, ...]
    last_names: tuple[str, ...]
    templates: tuple[str, ...]
    per_template: int
    with_reference: bool


# In a template, {name}, {date} and {amount} are what is asked for. {order} and {count} are numbers that are not the
# amount, {other} is a person who does not pay and {earlier} a date on which nothing was paid.
TRAIN = Split(
    first_names=(
        *("Amara", "Bogdan", "Chiara", "Dmitri", "Efua", "Farid", "Greta", "Hiroshi", "Ingrid", "Joaquín"),
        *("Kavita", "Liam", "Marisol", "Nadia", "Oluwaseun", "Petra", "Quirin", "Rosa", "Sanjay", "Thandiwe"),
        *("Umberto", "Valentina", "Wanjiru", "Xenia", "Yusuf", "Zofia", "Anneliese", "Björn", "Chloé", "Duc"),
        *("Eleni", "Fatou", "Gustavo", "Halima", "Isaac", "Jelena", "Kofi", "Leilani", "Marcin", "Noor"),
        *("Orla", "Pádraig", "Ravi", "Sofía", "Tariq", "Ulrike", "Vikram", "Wen", "Yuki", "Zainab"),
        *("Jean-Luc", "Mary-Anne", "Håkon", "Agnieszka", "Emeka", "Lotte", "Matteo", "Soo-jin", "Tamás", "Ruth"),
    ),
    last_names=(
        *("Achebe", "Bianchi", "Castillo", "Dvořák", "Eriksen", "Fontaine", "Gupta", "Haddad", "Ivanov", "Jansen"),
        *(
            "Kowalski",
            "Lindqvist",
            "Mwangi",
            "Nakamura",
            "O'Brien",
            "Petrov",
            "Quispe",
            "Rahman",
            "Schneider",
            "Tanaka",
        ),
        *("Uzun", "Vasquez", "Watanabe", "Xu", "Yilmaz", "Zhang", "Adeyemi", "Bergström", "Chowdhury", "Delgado"),
        *("Espinoza", "Farkas", "Grimaldi", "Hoang", "Idris", "Jovanović", "Kaplan", "Laurent", "Mendoza", "Novak"),
        *("Okafor", "Park", "Ramírez", "Sato", "Thorne", "Van Dijk", "Weber", "Youssef", "Zimmermann", "Baptiste"),
        *("Smith-Jones", "García-Peña", "Lefèvre", "Hughes", "Iyer", "Kamau", "Moreau", "Nwosu", "Silva", "Costa"),
    ),
    templates=(
        "{name} paid {amount} on {date}.",
        "On {date} we received {amount} from {name}.",
        "{date}: {name} paid {amount}.",
        "Invoice note - {name} settled {amount} on {date}.",
        "Hi team, {name} just sent {amount} on {date}, can someone book it?",
        "Dear accounts, on {date} {name} transferred {amount}. Kind regards, the front desk",
        "{name} paid the {amount} on {date}, all good now",
        "A deposit of {amount} was left at the counter by {name} on {date}.",
        "The sum of {amount} was handed over by {name} on {date}.",
        "finally, {name} paid me back {amount} on {date}",
        "The bill of {name} comes to {amount} and falls due on {date}.",
        "As agreed, {name} will pay {amount} by {date}.",
        "Client {name}, date {date}, amount {amount}",
        "{name} paid the rent of {amount} on {date}.",
        "Could you check whether {name} really transferred {amount} on {date}?",
        "It was {date} when {name} settled the account with {amount}.",
        "{amount} from {name}, booked on {date}.",
        "We thank {name} for the {amount} that came on {date}!",
        "The workshop costs {amount}; {name} paid for it on {date}.",
        "We charged {amount} to the card of {name} on {date}.",
        "{name} ({date}): {amount} in cash",
        "Since {date}, {name} owes us {amount}.",
        "hey, {name} has to pay {amount} until {date}",
        "Payment received: {name}, {date}, {amount}",
        "{amount} was charged to {name} on {date} (order {order}).",
        "{name} ordered {count} chairs on {date} and paid {amount}.",
        "Received with thanks {amount} from {name} on {date}, receipt {order}.",
        "{name} was charged {amount} on {date}, see invoice {order}.",
        "{name} paid {amount} on {date}; {other} signed for it.",
        "{name} paid {amount} on {date} and {other} entered it.",
        "Written by {other}: on {date} {name} paid {amount}.",
        "Ordered on {earlier}. On {date}, {name} paid {amount}.",
    ),
    per_template=5,
    with_reference=False,
)

DEV = Split(
    first_names=(
        *("Benedikt", "Carsten", "Divya", "Ekaterina", "Fiona", "Gwen", "Hamza", "Ines", "Jakub", "Kenji"),
        *("Lucía", "Malik", "Niamh", "Otto", "Priya", "Søren", "Anh-Thu", "Marie-Claire"),
    ),
    last_names=(
        *(
            "Abubakar",
            "Brandt",
            "Conti",
            "Dimitrov",
            "Engström",
            "Ferreira",
            "Gallagher",
            "Horvat",
            "Ishikawa",
            "Joshi",
        ),
        *("Kiplagat", "López", "Marchetti", "Nguyen", "Osei", "Pham-Martin", "D'Angelo", "Vogel"),
    ),
    templates=(
        "We got {amount} from {name} on {date}.",
        "{name} has settled the invoice of {amount} on {date}.",
        "Good morning, this is to confirm that {amount} from {name} arrived on {date}.",
        "Customer {name}, paid on {date}, total {amount}",
        "btw {name} gave me the {amount} on {date}",
        "An advance of {amount} was paid on {date} by {name}.",
        "{date}, {name}, {amount}",
        "{name} bought {count} lamps on {date} for {amount}.",
        "{name} was billed {amount} on {date}, ticket {order}.",
        "{name} paid {amount} on {date}, as {other} reported.",
    ),
    per_template=4,
    with_reference=True,
)

HELDOUT = Split(
    first_names=(
        *("Alejandra", "Bilal", "Catarina", "Daisuke", "Elif", "Florian", "Giulia", "Hanneke", "Ibrahima", "Jasmin"),
        *("Karolína", "Lars", "Miguel", "Nkechi", "Olena", "Pavel", "Rania", "Stefan", "Tomoko", "Ursula"),
        *("Viktor", "Winston", "Yara", "Zoltán", "Adaeze", "Brigitte", "Cheng", "Deepak", "Émile", "Freya"),
        *("Ana-Lucia", "Karl-Heinz", "Min-jun", "Siobhán", "Tuan", "Grace"),
    ),
    last_names=(
        *("Aguilar", "Banerjee", "Cohen", "Diallo", "Evans", "Fischer", "Gonçalves", "Hashimoto", "Islam", "Jensen"),
        *("Keller", "Larsen", "Mbeki", "Nilsson", "Ortega", "Popescu", "Rossi", "Shevchenko", "Takahashi", "Usman"),
        *("Varga", "Wójcik", "Yamamoto", "Zulu", "Andersson", "Bouchard", "Chukwu", "De Vries", "El-Sayed", "Fraser"),
        *("Hall-Nielsen", "Kučera", "MacLeod", "Reyes", "Tran", "O'Connor"),
    ),
    templates=(
        "{amount} came from {name} on {date}.",
        "{name} made a payment of {amount} on {date}.",
        "Our records show that {name} paid us {amount} on {date}.",
        "Name {name}, paid on {date}, sum {amount}",
        "Good news, the {amount} from {name} landed on {date}.",
        "Dear all, {name} wired {amount} on {date}. Please update the file. Best wishes",
        "did you see {name} paid {amount} on {date}",
        "The fee of {amount} was paid in full by {name} on {date}.",
        "On {date}, {name} cleared the balance of {amount}.",
        "Bank transfer, {name}, {amount}, {date}",
        "Please note that {name} must pay {amount} before {date}.",
        "A cheque for {amount} was handed in by {name} on {date}.",
        "{name} sent us {amount}. We booked it on {date}.",
        "Is it true that {name} spent {amount} on {date}?",
        "{name} still owed {amount} on {date}.",
        "{name} paid {amount} on {date} for invoice {order}.",
        "{name} picked up {count} boxes on {date} and paid {amount}.",
        "{name} sent {amount} on {date}; the note is from {other}.",
        "{name} paid {amount} on {date}, which {other} confirms.",
        "The order is of {earlier}. {name} paid {amount} on {date}.",
    ),
    per_template=5,
    with_reference=True,
)

SPLITS = {"train": TRAIN, "dev": DEV, "heldout": HELDOUT}

MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
COUNTS = ("two", "three", "four", "five", "six", "eight", "ten", "twelve")
ORDINALS = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd", 31: "st"}


def written_dates(day: date) -> list[str]:
    """The ways a note may write a day, the commoner ones repeated.

    Forms whose day and month could be swapped (03/05/2024) are left out on purpose.
    """
    month = MONTHS[day.month - 1]
    short = month if len(month) <= 4 else month[:3]  # noqa: PLR2004 - June and July are not shortened
    return [
        *[day.isoformat()] * 3,
        *[day.strftime("%Y/%m/%d")] * 2,
        *[f"{month} {day.day}, {day.year}"] * 3,
        *[f"{short} {day.day}, {day.year}"] * 2,
        f"{day.day} {month} {day.year}",
        f"the {day.day}{ORDINALS.get(day.day, 'th')} of {month} {day.year}",
    ]


def written_amounts(amount: float) -> list[str]:
    """The ways a note may write an amount; cents appear where there are any."""
    plain = f"{amount:.2f}" if amount % 1 else f"{amount:.0f}"
    grouped = f"{amount:,.2f}" if amount % 1 else f"{amount:,.0f}"
    return [
        *(f"${grouped}", f"${plain}", f"£{plain}", f"€{plain}", f"EUR {plain}"),
        *(f"{plain} euros", f"{plain} dollars", f"{plain} USD"),
    ]


def draw_amount(random_: random.Random) -> float:
    """Mostly small sums, half of them with cents; one in eight is a round sum above a thousand."""
    if random_.random() < 1 / 8:
        return random_.randint(100, 980) * 10
    return random_.randint(5, 990) + random_.choice([0, 0, 0.5, 0.25, random_.randint(1, 99) / 100])


def draw_seed(template: str, split: Split, random_: random.Random) -> dict[str, Any]:
    """One note and, where the split carries it, what a perfect reader extracts from it."""
    first, other_first = random_.sample(split.first_names, 2)
    last, other_last = random_.sample(split.last_names, 2)
    day = date(2019, 1, 1) + timedelta(days=random_.randrange(6 * 365))
    earlier = day - timedelta(days=random_.randint(3, 60))
    amount = round(draw_amount(random_), 2)
    style = random_.randrange(len(written_dates(day)))  # one note writes both its dates in one way
    text = template.format(
        name=f"{first} {last}",
        date=written_dates(day)[style],
        amount=random_.choice(written_amounts(amount)),
        order=random_.randint(10_000, 99_999),
        count=random_.choice(COUNTS),
        other=f"{other_first} {other_last}",
        earlier=written_dates(earlier)[style],
    )
    seed: dict[str, Any] = {"text": text[0].upper() + text[1:] if template.startswith("{date}") else text}
    if split.with_reference:
        number = int(amount) if amount == int(amount) else amount
        seed["reference"] = {"name": f"{first} {last}", "date": day.isoformat(), "amount": number}
    return seed


def make_split(name: str) -> list[dict[str, Any]]:
    """The seeds of one split; every split has a generator of its own, so that editing one leaves the others alone."""
    split = SPLITS[name]
    random_ = random.Random(f"{SEED} {name}")
    seeds = [draw_seed(template, split, random_) for template in split.templates for _ in range(split.per_template)]
    random_.shuffle(seeds)
    return seeds


def as_jsonl(seeds: list[dict[str, Any]]) -> str:
    """One JSON object a line, letters with diacritics as they are."""
    return "".join(json.dumps(seed, ensure_ascii=False) + "\n" for seed in seeds)


def main() -> None:
    """Writes the three files beside this script."""
    for name in SPLITS:
        seeds = make_split(name)
        (Path(__file__).parent / f"{name}.jsonl").write_text(as_jsonl(seeds), encoding="utf-8", newline="\n")
        print(f"{name}.jsonl: {len(seeds)} seeds")


if __name__ == "__main__":
    main()
