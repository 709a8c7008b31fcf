"""The naive peer with its total kept in a row, so that reading it is cheap."""

import os
from datetime import UTC, datetime
from decimal import Decimal

from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue
from sqlalchemy import Numeric, create_engine, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    """The peer's tables."""


class Entry(Base):
    """One value."""

    __tablename__ = "entry"
    id: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[Decimal] = mapped_column(Numeric)
    added_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC))


class Total(Base):
    """The sum of all values, in one row."""

    __tablename__ = "total"
    id: Mapped[int] = mapped_column(primary_key=True)
    sum: Mapped[Decimal] = mapped_column(Numeric)


app = Flask(__name__)
engine = create_engine(os.environ["DATABASE_URL"])


@app.post("/entries")
def add() -> ResponseReturnValue:
    """Add one value and move the total, both or neither, durably."""
    value = Decimal(str(request.get_json()["value"]))
    with Session(engine) as session:
        entry = Entry(value=value)
        session.add(entry)
        session.flush()
        now = session.scalar(update(Total).values(sum=Total.sum + value).returning(Total.sum))
        session.commit()
        return jsonify(id=entry.id, value=str(value), sum=str(now)), 201


@app.get("/total")
def total() -> ResponseReturnValue:
    """The sum of all values."""
    with Session(engine) as session:
        return jsonify(sum=str(session.scalar(select(Total.sum))))
