-- One role and one database per service; no service can connect to another's database.
SELECT format('CREATE ROLE %I LOGIN', name || '_service'),
       format('CREATE DATABASE %I OWNER %I', name || '_db', name || '_service'),
       format('REVOKE CONNECT, TEMPORARY ON DATABASE %I FROM PUBLIC', name || '_db')
FROM unnest(string_to_array('auth,ticket,workflow,messaging,notification', ',')) AS name
\gexec
