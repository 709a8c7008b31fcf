"""Privileges in the ledger beyond those that its roles are given: found, and taken away.

Whoever restores a database without its access control lists, or grants one in passing, opens
what PostgreSQL is to refuse. Others than Tally's roles may be given what reads and nothing else.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# `listed` is what Tally's roles may do, as "role kind name privilege".
_GRANTS: Final = """
    WITH ledger AS (SELECT oid, nspowner FROM pg_namespace WHERE nspname = 'tally'),
    on_objects AS (
        SELECT 'DATABASE' AS kind, quote_ident(datname) AS name, 'database' AS short,
               '' AS of_column, datdba AS owner, coalesce(datacl, acldefault('d', datdba)) AS acl
          FROM pg_database WHERE datname = current_database()
        UNION ALL
        SELECT 'SCHEMA', 'tally', 'tally', '', n.nspowner,
               coalesce(nspacl, acldefault('n', n.nspowner))
          FROM pg_namespace AS n JOIN ledger USING (oid)
        UNION ALL
        SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass::text,
               relname, '', relowner,
               coalesce(relacl, acldefault((CASE relkind WHEN 'S' THEN 's' ELSE 'r' END)::"char",
                                           relowner))
          FROM pg_class AS c JOIN ledger ON relnamespace = ledger.oid
         WHERE relkind IN ('r', 'v', 'm', 'p', 'f', 'S')
        UNION ALL
        SELECT 'TABLE', c.oid::regclass::text, relname, ' (' || quote_ident(attname) || ')',
               relowner, attacl
          FROM pg_attribute JOIN pg_class AS c ON c.oid = attrelid
          JOIN ledger ON relnamespace = ledger.oid
         WHERE attacl IS NOT NULL AND NOT attisdropped
        UNION ALL
        SELECT 'ROUTINE', p.oid::regprocedure::text, proname, '', proowner,
               coalesce(proacl, acldefault('f', proowner))
          FROM pg_proc AS p JOIN ledger ON pronamespace = ledger.oid
    ),
    grants AS (
        SELECT o.kind, o.name, o.short, o.of_column, a.privilege_type AS may,
               CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS whose,
               a.is_grantable
          FROM on_objects AS o CROSS JOIN LATERAL aclexplode(o.acl) AS a, ledger
         WHERE a.grantee NOT IN (o.owner, ledger.nspowner)
    )
    SELECT format('%s%s ON %s %s', may, of_column, kind, name) AS what, whose,
           format('REVOKE %s%s ON %s %s FROM %s CASCADE', may, of_column, kind, name, whose) AS undo
      FROM grants
     WHERE CASE WHEN whose = 'PUBLIC' OR whose = ANY (:roles)
                THEN is_grantable OR of_column <> ''
                     OR NOT concat_ws(' ', whose, kind, short, may) = ANY (:listed)
                ELSE may NOT IN ('SELECT', 'USAGE', 'CONNECT', 'TEMPORARY') OR is_grantable END
"""
# PostgreSQL's own default lets everybody call functions, which migrations revoke, and use types.
_DEFAULTS: Final = """
    SELECT format('%s ON new %s', a.privilege_type, kind) AS what, whose,
           format('ALTER DEFAULT PRIVILEGES FOR ROLE %s %s REVOKE %s ON %s FROM %s',
                  defaclrole::regrole,
                  CASE defaclnamespace WHEN 0 THEN '' ELSE 'IN SCHEMA tally' END,
                  a.privilege_type, kind, whose) AS undo
      FROM pg_default_acl, aclexplode(defaclacl) AS a,
           LATERAL (SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
                           CASE defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES'
                                WHEN 'f' THEN 'ROUTINES' WHEN 'T' THEN 'TYPES' ELSE 'SCHEMAS' END
                   ) AS named (whose, kind)
     WHERE defaclnamespace IN (0, (SELECT oid FROM pg_namespace WHERE nspname = 'tally'))
       AND defaclobjtype::text IN ('r', 'S', 'f', 'T', 'n') AND a.grantee <> defaclrole
       AND NOT (defaclnamespace = 0 AND a.grantee = 0 AND defaclobjtype IN ('f', 'T'))
       AND (whose = 'PUBLIC' OR whose = ANY (:roles)
            OR a.privilege_type NOT IN ('SELECT', 'USAGE'))
"""
# What Tally's roles belong to, and who belongs to them. The owner does, to end their sessions; and
# whoever makes roles could make himself a member.
_MEMBERS: Final = """
    SELECT 'membership in ' || m.roleid::regrole AS what, m.member::regrole::text AS whose,
           format('REVOKE %s FROM %s CASCADE', m.roleid::regrole, m.member::regrole) AS undo
      FROM pg_auth_members AS m JOIN pg_roles AS r ON r.oid = m.member
     WHERE r.rolname = ANY (:roles)
        OR m.roleid::regrole::text = ANY (:roles) AND NOT r.rolsuper AND NOT r.rolcreaterole
           AND m.member NOT IN (SELECT nspowner FROM pg_namespace WHERE nspname = 'tally')
"""
_ATTRIBUTES: Final = """
    SELECT attribute AS what, rolname::text AS whose,
           format('ALTER ROLE %I NO%s', rolname, attribute) AS undo
      FROM pg_roles,
           unnest('{SUPERUSER,CREATEROLE,CREATEDB,REPLICATION,BYPASSRLS}'::text[],
                  ARRAY[rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls])
                AS a (attribute, has)
     WHERE rolname = ANY (:roles) AND has
"""
# Owners may do all, and give it on: whatever is in the ledger is its owner's.
_OWNERS: Final = """
    WITH ledger AS (
        SELECT oid, CASE WHEN nspowner::regrole::text = ANY (:roles) THEN current_user::regrole::oid
                         ELSE nspowner END AS nspowner
          FROM pg_namespace WHERE nspname = 'tally'
    ),
    owned AS (
        SELECT relowner AS owner,
               CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
                    WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END AS kind,
               c.oid::regclass::text AS name
          FROM pg_class AS c JOIN ledger ON relnamespace = ledger.oid
         WHERE relkind IN ('r', 'v', 'm', 'p', 'f', 'S')
        UNION ALL
        SELECT proowner, 'ROUTINE', p.oid::regprocedure::text
          FROM pg_proc AS p JOIN ledger ON pronamespace = ledger.oid
        UNION ALL
        SELECT nspowner, 'SCHEMA', quote_ident(nspname) FROM pg_namespace
         WHERE nspowner::regrole::text = ANY (:roles)
        UNION ALL
        SELECT datdba, 'DATABASE', quote_ident(datname) FROM pg_database
         WHERE datname = current_database() AND datdba::regrole::text = ANY (:roles)
    )
    SELECT format('ownership of %s %s', kind, name) AS what, owner::regrole::text AS whose,
           format('ALTER %s %s OWNER TO %s', kind, name, nspowner::regrole) AS undo
      FROM owned, ledger WHERE owner <> nspowner OR owner::regrole::text = ANY (:roles)
"""


@dataclass(frozen=True, slots=True)
class Privilege:
    """What somebody may do beyond the list, and the statement that takes it away."""

    what: str
    whose: str
    undo: str

    def __str__(self) -> str:
        return f"{self.whose} has {self.what}"


async def beyond(
    connection: AsyncConnection, roles: Iterable[str], listed: Iterable[str]
) -> list[Privilege]:
    """Find the privileges beyond those listed, each of which is "role KIND name PRIVILEGE"."""
    given = {"roles": list(roles), "listed": list(listed)}
    found = []
    for query in (_OWNERS, _ATTRIBUTES, _MEMBERS, _DEFAULTS, _GRANTS):
        known = {name: value for name, value in given.items() if f":{name}" in query}
        found += [Privilege(*row) for row in await connection.execute(text(query), known)]
    return found
