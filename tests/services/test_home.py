"""Home: leads to the three services and shows the total."""


def test_home_shows_the_total_and_leads_to_all_services(client) -> None:
    total = client.get("/display_service/total").json()
    page = client.get("/").text
    assert f'value="{total["sum"]}"' in page
    for name in ("adder", "display", "reset"):
        assert f'href="./{name}_service"' in page
