"""Users and tokens."""

from django.contrib.auth.models import User
from django.test import TestCase

from accounts.models import Token

CREDENTIALS = {"username": "reader", "password": "a-long-enough-one"}


class AccountsTest(TestCase):
    """The API of the auth service."""

    def log_in(self) -> dict[str, str]:
        self.client.post("/api/auth/users/", CREDENTIALS)
        token = self.client.post("/api/auth/tokens/", CREDENTIALS).json()["token"]
        return {"Authorization": f"Bearer {token}"}

    def test_a_token_says_whose_it_is(self):
        answer = self.client.get("/api/auth/me/", headers=self.log_in())
        self.assertEqual((answer.status_code, answer.json()["username"]), (200, "reader"))

    def test_a_token_is_stored_as_a_hash_only(self):
        value = self.log_in()["Authorization"].removeprefix("Bearer ")
        self.assertNotEqual(Token.objects.get().digest, value)

    def test_a_deleted_token_is_refused(self):
        headers = self.log_in()
        self.assertEqual(self.client.delete("/api/auth/tokens/", headers=headers).status_code, 200)
        self.assertEqual(self.client.get("/api/auth/me/", headers=headers).status_code, 401)

    def test_the_token_of_a_disabled_user_is_refused(self):
        headers = self.log_in()
        User.objects.update(is_active=False)
        self.assertEqual(self.client.get("/api/auth/me/", headers=headers).status_code, 401)

    def test_a_wrong_password_gives_no_token(self):
        self.client.post("/api/auth/users/", CREDENTIALS)
        answer = self.client.post("/api/auth/tokens/", CREDENTIALS | {"password": "another-long-one"})
        self.assertEqual(answer.status_code, 401)
        self.assertFalse(Token.objects.exists())

    def test_a_short_password_and_a_taken_name_are_refused(self):
        self.assertEqual(self.client.post("/api/auth/users/", CREDENTIALS | {"password": "short"}).status_code, 400)
        self.client.post("/api/auth/users/", CREDENTIALS)
        self.assertEqual(self.client.post("/api/auth/users/", CREDENTIALS).status_code, 400)
        self.assertEqual(User.objects.count(), 1)
