"""The schema, forward only: a migration that has been released is never edited."""

_1_BEGINNING = """
create table token (
    id text primary key,
    hash blob not null unique,
    tenant text not null,
    user text not null,
    email text not null,
    role text not null,
    scopes text not null,
    created_at integer not null,
    revoked_at integer
) strict;

create table tenant_key (
    tenant text primary key,
    kek_id text not null,
    wrapped blob not null
) strict;

create table secret (
    tenant text not null references tenant_key (tenant),
    name text not null,
    version integer not null,
    sealed blob not null,
    primary key (tenant, name, version)
) strict;

create table key_check (
    kek_id text primary key,
    sealed blob not null
) strict;

create table binding (
    tenant text not null,
    owner text not null,
    version integer not null,
    provider text not null,
    model text not null,
    base_url text not null,
    display_name text not null,
    is_active integer not null,
    fallback text not null,
    key_prefix text not null,
    updated_at integer not null,
    primary key (tenant, owner)
) strict;

create table parameter_layer (
    extension text not null,
    purpose text not null,
    parameters text not null,
    updated_at integer not null,
    primary key (extension, purpose)
) strict;

create table entry (
    tenant text not null,
    "index" integer not null,
    call_id text not null,
    parent text,
    kind text not null,
    at_milliseconds integer not null,
    user text not null,
    cost_nano_usd integer not null,
    body blob not null,
    hash blob not null,
    primary key (tenant, "index"),
    unique (call_id, kind)
) strict;

create index entry_of_user on entry (tenant, user, kind, cost_nano_usd);
create index entry_of_parent on entry (parent);

create table head (
    tenant text primary key,
    size integer not null,
    hash blob not null
) strict;
"""

# An index costs every append that it covers: only outcomes cost money, and only model attempts have a parent.
_2_SMALLER_INDEXES = """
drop index entry_of_user;
drop index entry_of_parent;
create index entry_of_user on entry (tenant, user, cost_nano_usd) where kind = 'outcome';
create index entry_of_parent on entry (parent) where parent is not null;
"""

# Merkle trees in place of the chains: the ledger brings the rows of ``head`` over when it is first opened. Each page
# that a commit touches is written with it: the last head of a commit bears the checkpoint that is signed after it,
# and a row says which head it came with, so that neither needs a table or an index of its own.
_3_TREES = """
create table tree (
    name text primary key,
    size integer not null,
    peaks blob not null
) strict, without rowid;

create table node (
    tree text not null,
    level integer not null,
    "index" integer not null,
    hash blob not null,
    primary key (tree, level, "index")
) strict, without rowid;

create table tenant_head (
    "index" integer primary key,
    tenant text not null,
    size integer not null,
    root blob not null,
    note text
) strict;

create table boot (
    epoch integer primary key autoincrement,
    started_at_milliseconds integer not null
) strict;

create table open_intent (
    call_id text primary key,
    tenant text not null,
    boot integer not null
) strict, without rowid;
insert into open_intent select call_id, tenant, 0 from entry i where kind = 'intent'
    and not exists (select 1 from entry o where o.call_id = i.call_id and o.kind = 'outcome');

alter table entry add column boot integer not null default 0;
alter table entry add column head integer not null default 0;
drop index entry_of_user;
create index entry_of_user on entry (tenant, user, kind, cost_nano_usd)
    where kind in ('outcome', 'unresolved', 'correction');

create trigger entry_opens after insert on entry when new.kind = 'intent' begin
    insert into open_intent values (new.call_id, new.tenant, new.boot);
end;
create trigger entry_ends after insert on entry when new.kind in ('outcome', 'unresolved') begin
    select raise(abort, 'the call has no open intent') where not exists
        (select 1 from open_intent where call_id = new.call_id and tenant = new.tenant);
    delete from open_intent where call_id = new.call_id;
end;
create trigger entry_corrects after insert on entry when new.kind = 'correction' begin
    select raise(abort, 'the call is not unresolved') where not exists
        (select 1 from entry where call_id = new.call_id and kind = 'unresolved' and tenant = new.tenant);
end;
"""

# A ring of key-encryption keys instead of one. Location '' is the file of IMPERAL_KEK_FILE; ``kept`` is what a
# source has the database keep.
_4_KEY_RING = """
alter table key_check add column location text not null default '';
alter table key_check add column state text not null default 'promoted'
    check (state in ('new', 'promoted', 'old', 'retired'));
alter table key_check add column kept blob not null default x'';
create unique index key_check_promoted on key_check (state) where state = 'promoted';
create index tenant_key_kek on tenant_key (kek_id);
"""

# A model for each purpose, as JSON.
_5_MODELS_BY_PURPOSE = "alter table binding add column models text not null default '{}'"

# A replaced secret opens for a while, for calls in flight. A user's key is sealed with the tenant's: without its row
# nothing of that user's opens.
_6_OVERLAP_AND_USER_KEYS = """
alter table secret add column until integer;
create index secret_until on secret (until) where until is not null;

create table user_key (
    tenant text not null references tenant_key (tenant),
    user text not null,
    key_id blob not null,
    sealed blob not null,
    primary key (tenant, user)
) strict;
"""

MIGRATIONS = (
    _1_BEGINNING,
    _2_SMALLER_INDEXES,
    _3_TREES,
    _4_KEY_RING,
    _5_MODELS_BY_PURPOSE,
    _6_OVERLAP_AND_USER_KEYS,
)
