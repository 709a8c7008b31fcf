# A database that is there already, and whose owner this wants to be called something else: that
# can't be changed, only replaced.
import {
  to = aws_db_instance.main
  id = "tally-database"
}

resource "aws_db_instance" "main" {
  identifier          = "tally-database"
  engine              = "postgres"
  instance_class      = "db.t4g.micro"
  allocated_storage   = 20
  username            = "somebody_else"
  password            = "not-a-secret"
  skip_final_snapshot = true
}
