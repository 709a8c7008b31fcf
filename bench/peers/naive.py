"""A running total as it is usually written: a row for each value, added up when somebody looks."""

import os
from datetime import UTC, datetime
from decimal import Decimal

from flask import Flask, jsonify, render_template_string, request
from flask.typing import ResponseReturnValue
from sqlalchemy import Numeric, create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    """The peer's tables."""


class Entry(Base):
    """One value."""

    __tablename__ = "entry"
    id: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[Decimal] = mapped_column(Numeric)
    added_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC))


PAGE = """
<!doctype html>
<title>Total</title>
<h1>{{ total }}</h1>
<table>
{% for entry in entries %}<tr><td>{{ entry.value }}</td><td>{{ entry.added_at }}</td></tr>
{% endfor %}</table>
"""

app = Flask(__name__)
engine = create_engine(os.environ["DATABASE_URL"])


@app.post("/entries")
def add() -> ResponseReturnValue:
    """Add one value, durably."""
    value = Decimal(str(request.get_json()["value"]))
    with Session(engine) as session:
        entry = Entry(value=value)
        session.add(entry)
        session.commit()
        return jsonify(id=entry.id, value=str(value)), 201


@app.get("/total")
def total() -> ResponseReturnValue:
    """The sum of all values."""
    with Session(engine) as session:
        return jsonify(sum=str(session.scalar(select(func.sum(Entry.value))) or 0))


@app.get("/")
def page() -> ResponseReturnValue:
    """The sum and the newest values."""
    with Session(engine) as session:
        return render_template_string(
            PAGE,
            total=session.scalar(select(func.sum(Entry.value))) or 0,
            entries=session.scalars(select(Entry).order_by(Entry.id.desc()).limit(20)).all(),
        )
