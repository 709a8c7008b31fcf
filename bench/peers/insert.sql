INSERT INTO entry (value) VALUES (12.5);
