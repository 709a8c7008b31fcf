BEGIN;
INSERT INTO entry (value) VALUES (12.5);
UPDATE total SET sum = sum + 12.5, count = count + 1;
END;
