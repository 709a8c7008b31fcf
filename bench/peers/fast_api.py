"""The naive peer in FastAPI with asyncpg, as their tutorials show: a pool, a model, an INSERT."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import asyncpg
from fastapi import FastAPI, Request
from pydantic import BaseModel


class Entry(BaseModel):
    """One value."""

    value: Decimal


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Hold a pool of connections while the app runs."""
    async with asyncpg.create_pool(os.environ["DATABASE_URL"]) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/entries", status_code=201)
async def add(entry: Entry, request: Request) -> dict[str, str | int]:
    """Add one value, durably."""
    query = "INSERT INTO entry (value) VALUES ($1) RETURNING id"
    async with request.app.state.pool.acquire() as connection:
        number = await connection.fetchval(query, entry.value)
    return {"id": number, "value": str(entry.value)}


@app.get("/total")
async def total(request: Request) -> dict[str, str]:
    """The sum of all values."""
    async with request.app.state.pool.acquire() as connection:
        return {"sum": str(await connection.fetchval("SELECT sum(value) FROM entry") or 0)}
