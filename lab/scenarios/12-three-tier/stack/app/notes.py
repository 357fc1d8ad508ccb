"""Notes in a database: POST /notes keeps the body, GET /notes lists all, oldest first."""
import os

import flask
import pymysql

app = flask.Flask(__name__)


def connect():
    with open(os.environ["DB_PASSWORD_FILE"]) as secret:
        password = secret.read().strip()
    connection = pymysql.connect(
        host=os.environ["DB_HOST"], database=os.environ["DB_NAME"], user=os.environ["DB_USER"], password=password,
        autocommit=True, connect_timeout=2)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS notes (id INT AUTO_INCREMENT PRIMARY KEY, text TEXT)")
    return connection


@app.errorhandler(pymysql.MySQLError)
def no_database(error):
    return f"no database: {error}\n", 503


@app.post("/notes")
def keep():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO notes (text) VALUES (%s)", [flask.request.get_data(as_text=True)])
    return "", 201


@app.get("/notes")
def all_notes():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT text FROM notes ORDER BY id")
        return [text for (text,) in cursor.fetchall()]


app.run(host="0.0.0.0", port=8000)
