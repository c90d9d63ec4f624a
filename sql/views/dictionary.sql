-- What does each column of each table and view mean, and in which unit is it?
-- Filled from the comments, after everything else is made.
create table main.dictionary (
    schema_name varchar, table_name varchar, column_name varchar, data_type varchar, unit varchar, about varchar
);

comment on table main.dictionary is 'Every column of every table and view, with its unit and meaning.';
comment on column main.dictionary.schema_name is 'schema';
comment on column main.dictionary.table_name is 'table or view';
comment on column main.dictionary.column_name is 'column';
comment on column main.dictionary.data_type is 'type';
comment on column main.dictionary.unit is 'unit; NULL for none';
comment on column main.dictionary.about is 'meaning';

insert into main.dictionary
select
    schema_name,
    table_name,
    column_name,
    data_type,
    nullif(regexp_extract(comment, '\[([^\]]+)\]$', 1), ''),
    regexp_replace(comment, ' \[[^\]]+\]$', '')
from duckdb_columns()
where database_name = current_database() and not internal
order by schema_name, table_name, column_index
